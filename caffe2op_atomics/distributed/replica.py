"""Guarded tensors of several hosts that follow each other, while training goes on."""

from __future__ import annotations

import atexit
import os
import threading
from types import TracebackType
from typing import Any

import torch
import torch.distributed as dist

from .._arguments import integer
from ._beginning import Beginning, latest
from ._buckets import buckets_of
from ._peers import Peers, ReplicaError, lost
from ._sums import CompressedSum, Sum
from ._targets import (
    Targets,
    check_not_moved,
    check_options,
    memory_of,
    number_of,
    pieces_of,
    saved_values,
    seconds,
)

_followed: set[int] = set()  # the memory that replicas of this process have


class Replica:
    """Has an optimizer's parameters, or guarded tensors, of several hosts follow each other.

    The workers of a host update its tensors as ever and wait for no other host. A thread in one
    process of each host, which is a rank of ``group``, takes what they have changed every
    ``period`` seconds, sums it over the ranks with asynchronous collectives (gloo, or NCCL), and
    applies what the others did:

    * Every update is applied exactly once on every host: of integers exactly, of floats to the
      rounding of a sum.
    * At rest, all hosts hold the same bits. In training, each is some periods behind the others.
    * An optimizer's parameters are summed. Its moments stay those of the host's own steps.
    * If a rank dies, or does not answer for ``timeout`` seconds, :meth:`check` raises in all
      others. A worker that is no rank may die: its host goes on.

    Each rank of the group makes its replica at the same time, of tensors of the same shapes and
    dtypes in the same order, before its workers begin. The tensors then get the values of one rank:
    of that with the latest ``state``, of rank 0 if there is none; what other hosts did to them
    before is gone. Leaving a ``with`` block of it is :meth:`finish`; by an error, all others are
    told. A replica holds three times the memory of the tensors (of 16-bit numbers five times, of
    8-bit ones nine times), and some more in a round: four times that of large float32 tensors in
    all, and eight times with compression.

    Args:
        targets: an optimizer of :mod:`caffe2op_atomics.optim`, or guarded tensors, not of bool.
        group: the ranks, one on each host, as :func:`host_group` returns them; the default group if
            None. The collectives run in a group of the replica's own with the same ranks.
        period: seconds from the end of a round to the beginning of the next one.
        average: apply the mean of what the hosts have changed, instead of the sum, which overshoots
            if each host makes many steps in a round; not to integers.
        compression: ``torch.bfloat16`` sends changes of floats in half the bytes of float32; what
            is rounded away is sent in the next rounds. Changes up to 2**-134 are dropped, and those
            above 3.39e38 become infinite.
        bucket_bytes: tensors go through the network in parts of about that size.
        timeout: seconds after which a rank that does not answer is taken for dead. Longer than all
            ranks' periods.
        state: what :meth:`state_dict` returned, to go on from.

    Raises:
        TypeError, ValueError: for a wrong argument.
        RuntimeError: if torch.distributed is not initialised, this rank is not in ``group``, the
            ranks were given tensors or options that differ or the same memory, or a replica has it
            already. No tensor is changed then.
        ReplicaError: if not all ranks make a replica within ``timeout``, or one dies, or the store,
            while they connect. All ranks may call it again then, however often each has failed:
            calls that wait at the same time meet.

    Example:
        >>> with Replica(optimizer, host_group()) as replica:  # doctest: +SKIP
        ...     for batch in batches:
        ...         train(batch)
        ...         replica.check()
    """

    def __init__(
        self,
        targets: Targets,
        group: dist.ProcessGroup | None = None,
        *,
        period: float = 0.1,
        average: bool = False,
        compression: torch.dtype | None = None,
        bucket_bytes: int = 4 << 20,
        timeout: float = 30.0,
        state: dict[str, Any] | None = None,
    ) -> None:
        pieces = pieces_of(targets)
        check_options(pieces, average, compression)
        self._period, self._timeout = seconds("period", period), seconds("timeout", timeout)
        bucket_bytes = integer("Replica: bucket_bytes", bucket_bytes, 1)
        self._targets, self._memory = targets, memory_of(pieces)  # which live as long
        if not _followed.isdisjoint(self._memory):
            raise RuntimeError("Replica: targets must have no other replica, got some with one")
        self._average = bool(average)
        self._buckets, self._values = buckets_of(pieces, bucket_bytes)
        self._rounds = 0
        if state is not None:
            self._rounds, saved = saved_values(state, self._values)
            for value, each in zip(self._values, saved, strict=True):
                value.copy_(each)

        self._peers = Peers(group, self._timeout)
        layout = [(tuple(piece.target.shape), piece.target.dtype) for piece in pieces]
        options = number_of(layout, self._average, compression, bucket_bytes)
        mine = Beginning(self._rounds, options, self._period, self._memory)
        self._rounds, rank = latest(self._peers, mine, self._timeout)
        for bucket in self._buckets:
            agreed = bucket.agreed.to(self._peers.device, copy=True)
            self._peers.wait(self._peers.broadcast(agreed, rank))
            bucket.rebase(agreed)
        compressed = compression is not None
        self._sums: list[Sum | CompressedSum] = [
            CompressedSum(self._peers, bucket.agreed)
            if compressed and bucket.agreed.is_floating_point()
            else Sum(self._peers, bucket.agreed)
            for bucket in self._buckets
        ]

        self._agreeing = threading.Lock()  # held while what is agreed on changes
        self._finishing, self._giving_up = threading.Event(), threading.Event()
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        self._process = os.getpid()
        _followed.update(self._memory)
        thread = threading.Thread(target=self._run, name="atomics-replica", daemon=True)
        atexit.register(self._give_up)  # or the thread would run into the end of the interpreter
        thread.start()

    @property
    def rounds(self) -> int:
        """How many rounds are done, those before ``state`` too."""
        return self._rounds

    def check(self) -> None:
        """Raise if the hosts no longer follow each other; call it in each step.

        Raises:
            ReplicaError: if a rank died, does not answer, or gave up.
            RuntimeError: if the tensors were moved, or this is a child of the replica's process.
        """
        if os.getpid() != self._process:
            raise RuntimeError(
                "Replica: the calling process must be the one that made it, got a fork"
            )
        if self._failure is not None:
            # Torch's chain of errors says no more, unless it is none of those that are expected.
            known = isinstance(self._failure, ReplicaError)
            raise ReplicaError(str(self._failure)) from (None if known else self._failure)
        check_not_moved(self._targets)

    def finish(self) -> None:
        """Wait until all ranks finish and hold the same bits; then the replica has ended.

        Call it when this host's workers are done: as long as they change something in each round,
        nobody's call returns, and what they do after the last one stays here. Ctrl-C interrupts it.

        Raises:
            ReplicaError: if a rank died, does not answer, or gave up.
        """
        self.check()
        self._finishing.set()
        self._ended.wait()
        self.check()

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of what all ranks agreed on in the last round, the same on all of them.

        Waits for no other host, and may be called after an error, too. A checkpoint: save it on one
        host or on each, and give it to ``state``; the latest of all ranks is what they go on from.
        """
        with self._agreeing:
            return {"round": self._rounds, "values": [value.clone() for value in self._values]}

    def __enter__(self) -> Replica:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.finish()
        else:
            self._give_up()

    def __reduce_ex__(self, protocol: object) -> Any:
        raise TypeError("cannot pickle or copy a Replica: make it in one process of each host")

    def _run(self) -> None:
        try:
            while not self._round():
                self._finishing.wait(self._period)
            self._peers.close()
        except BaseException as error:
            self._failure = error
        finally:
            _followed.difference_update(self._memory)
            self._ended.set()
            atexit.unregister(self._give_up)

    @torch.no_grad()
    def _round(self) -> bool:
        """Exchange what was changed, and return whether it was the last round."""
        is_finishing, moved = self._finishing.is_set(), False
        for bucket, each in zip(self._buckets, self._sums, strict=True):
            delta = bucket.changed()
            moved = moved or each.owes or bool(delta.any())
            each.begin(delta)
        mine = [int(is_finishing), int(moved), int(self._giving_up.is_set())]
        of_all = torch.tensor(mine, device=self._peers.device)
        told = self._peers.all_reduce(of_all)
        totals = [each.end() for each in self._sums]
        self._peers.wait(told)
        finishing, moving, leaving = of_all.tolist()
        if leaving:
            raise lost("stay until finish(), got one that left")
        # From here on nothing can fail for want of a peer: a round is done or not.
        with self._agreeing:
            for bucket, (total, ahead) in zip(self._buckets, totals, strict=True):
                if self._average:
                    total.div_(self._peers.size)
                bucket.rebase(bucket.agreed + total, ahead)
            self._rounds += 1
        return finishing == self._peers.size and not moving

    def _give_up(self) -> None:
        """Tell the others, and wait until the thread has ended."""
        if os.getpid() == self._process:
            self._giving_up.set()
            self._finishing.set()
            self._ended.wait(2 * self._timeout)
