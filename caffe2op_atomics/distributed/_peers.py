"""The ranks of a process group, and the collectives between them that a replica needs.

They run in a process group of the replica's own, beside the given one: what the training program
does in its groups meanwhile is not mixed with it, and all of it ends within the replica's timeout.
"""

from __future__ import annotations

import contextlib
import datetime
import queue
import re
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch._C._distributed_c10d import PrefixStore, Store

from ._connection import connection_to
from ._helpers import call_in_thread
from ._link import Link, StoreDiedError
from ._meeting import meet


class ReplicaError(RuntimeError):
    """A rank of a replica died, does not answer, or gave up: the others have to stop, too."""


def lost(rule: str) -> ReplicaError:
    """Return the error that every rank gets when the ranks lose each other."""
    return ReplicaError(
        f"Replica: every rank must {rule}: end this process, and start all anew from state_dict()"
    )


class Peers:
    """All ranks of ``group``, each of which has to make it; None stands for the default group."""

    def __init__(self, group: dist.ProcessGroup | None, timeout: float) -> None:
        if not dist.is_initialized():
            raise RuntimeError(
                "Replica: torch.distributed must be initialised, got no process group "
                "(init_process_group)"
            )
        self.rank, self.size = dist.get_rank(group), dist.get_world_size(group)
        if self.rank < 0:
            raise RuntimeError("Replica: group must have this rank in it, got one without")
        backends = dist.get_backend_config(group)
        self.device, own = _device_and_backend(backends)
        self._timeout = datetime.timedelta(seconds=timeout)
        store = self._met((group or dist.distributed_c10d._get_default_group()).group_name)
        self._group = self._connected(own, store)

    def _met(self, name: str) -> Store:
        """Wait for all ranks, and return a part of the store that this call has on each of them."""
        store, seconds = dist.distributed_c10d._get_default_store(), self._timeout.total_seconds()
        link = Link("Replica", connection_to(store, seconds))
        key = f"atomics/replica/{name}/{self.size}"  # a store may have seen a world of another size
        try:
            number, missing = meet(link, key, self.rank, self.size, seconds)
        except StoreDiedError as error:
            raise ReplicaError(str(error)) from error
        if missing:
            raise ReplicaError(
                f"Replica: every rank must make one within {seconds:g} s, "
                f"got none of rank {', '.join(map(str, missing))}"
            )
        return PrefixStore(f"{key}/{number}", store)

    def _connected(self, own: Any, store: Store) -> Any:
        """Return the group, in time: gloo waits five times as long for a rank that dies now."""
        answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def connect() -> None:
            try:
                answers.put(own(store, self.rank, self.size, self._timeout))
            except Exception as error:
                answers.put(error)

        call_in_thread(connect)
        with self._in_time():
            try:
                answer = answers.get(timeout=self._timeout.total_seconds())
            except queue.Empty:
                raise RuntimeError("timed out when they connected") from None
            if isinstance(answer, Exception):
                raise answer
            return answer

    def told(self, mine: Sequence[int]) -> list[list[int]]:
        """Return the numbers of all ranks, of which each has as many."""
        of_all = torch.empty(self.size, len(mine), dtype=torch.int64, device=self.device)
        numbers = torch.tensor([mine], dtype=torch.int64, device=self.device)
        self.wait(self.all_gather(of_all, numbers))
        found: list[list[int]] = of_all.tolist()
        return found

    def all_reduce(self, tensor: Tensor) -> Any:
        """Begin to sum a tensor of this device over all ranks, in place."""
        with self._in_time():
            return self._group.allreduce([tensor])

    def all_to_all(self, out: Tensor, tensor: Tensor) -> Any:
        """Begin to send the k-th of ``size`` equal parts of a tensor to rank k."""
        with self._in_time():
            return self._group.alltoall_base(out, tensor, [], [])

    def all_gather(self, out: Tensor, tensor: Tensor) -> Any:
        """Begin to gather the tensors of all ranks."""
        with self._in_time():
            return self._group._allgather_base(out, tensor)

    def broadcast(self, tensor: Tensor, root: int) -> Any:
        """Begin to write the tensor of rank ``root`` into those of the others."""
        options = dist.BroadcastOptions()
        options.rootRank = root
        with self._in_time():
            return self._group.broadcast([tensor], options)

    def wait(self, work: Any) -> None:
        """Wait until a collective is done.

        Raises:
            ReplicaError: if it failed or took longer than the timeout.
        """
        with self._in_time():
            work.wait(self._timeout)

    def close(self) -> None:
        """Leave the group, after the last collective.

        This ends gloo's threads. One that is about to release a tensor when the interpreter ends
        would abort the process.
        """
        del self._group

    @contextlib.contextmanager
    def _in_time(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:  # of torch, DistError too
            # Without the place in torch's sources before, and its advice behind.
            told = re.sub(r"^\[[^\]]*\] ", "", str(error).strip()).partition("\n")[0]
            told = told.partition(". ")[0]
            if re.search("timed out|timeout", told, re.IGNORECASE):
                seconds = self._timeout.total_seconds()
                raise lost(
                    f"answer within {seconds:g} s, got one that does not ({told})"
                ) from error
            raise lost(f"stay until finish(), got one that is gone ({told})") from error


def _device_and_backend(backends: str) -> tuple[torch.device, Any]:
    if "gloo" in backends:
        return torch.device("cpu"), dist.ProcessGroupGloo
    if "nccl" in backends:
        return torch.device("cuda", torch.cuda.current_device()), _nccl
    raise RuntimeError(f"Replica: group must have the backend gloo or nccl, got {backends}")


def _nccl(store: Store, rank: int, size: int, timeout: datetime.timedelta) -> Any:
    options = dist.ProcessGroupNCCL.Options()
    options._timeout = timeout
    return dist.ProcessGroupNCCL(store, rank, size, options)
