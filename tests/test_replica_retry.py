"""A replica that was not made on all ranks, and is made by the next calls of the same processes."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from ranks import ranks_that_may_die, run_ranks
from support import TIMEOUT, run_processes, run_threads
from torch import Tensor
from torch._C._distributed_c10d import HashStore

from caffe2op_atomics import GuardedTensor
from caffe2op_atomics.distributed import Replica, ReplicaError
from caffe2op_atomics.distributed._connection import connection_to
from caffe2op_atomics.distributed._link import Link
from caffe2op_atomics.distributed._meeting import meet


def add_together(rank: int, tensor: GuardedTensor) -> None:
    with Replica(tensor, period=0.005) as replica:
        tensor.add_(rank + 1)
        replica.check()


def fail_on_some(rank: int, failed: Any, result: Tensor) -> None:
    tensor = GuardedTensor([5], dtype=torch.int64)
    if rank == 1:
        for _ in range(3):  # so that ranks have failed in different numbers of calls
            with pytest.raises(ValueError, match="period must be from"):
                Replica(tensor, period=0)
    else:
        for _ in range(rank + 1):
            with pytest.raises(ReplicaError) as caught:
                Replica(tensor, timeout=0.3)
            assert "Replica: every rank must make one within 0.3 s, got none of rank" in str(
                caught.value
            )
    failed.wait(TIMEOUT)
    for _ in range(2):  # and one more, after it has ended
        add_together(rank, tensor)
    result[rank] = tensor.tensor


def test_ranks_that_failed_in_different_numbers_of_calls_meet_in_the_next(tmp_path):
    failed, result = mp.get_context("fork").Barrier(3), torch.zeros(3, 5).long().share_memory_()
    run_ranks(3, tmp_path, fail_on_some, failed, result)
    assert result.eq(12).all()


def be_interrupted(rank: int, failed: Any, result: Tensor) -> None:
    tensor = GuardedTensor([5], dtype=torch.int64)
    if rank == 0:
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            Replica(tensor)
    failed.wait(TIMEOUT)
    add_together(rank, tensor)
    result[rank] = tensor.tensor


def test_call_that_ctrl_c_ended_is_not_waited_for(tmp_path):
    failed, result = mp.get_context("fork").Barrier(2), torch.zeros(2, 5).long().share_memory_()
    run_ranks(2, tmp_path, be_interrupted, failed, result)
    assert result.eq(3).all()


def make_in_worlds(rank: int, path: str) -> None:
    store = dist.FileStore(path, -1)
    for size in (2, 1):
        if rank < size:
            dist.init_process_group("gloo", store=store, rank=rank, world_size=size)
            begin = time.monotonic()
            Replica(GuardedTensor([3]), timeout=20).finish()
            assert time.monotonic() - begin < 10
            dist.destroy_process_group()


def test_world_of_another_size_in_the_same_store_is_not_waited_for(tmp_path):
    run_processes(2, make_in_worlds, str(tmp_path / "store"))


def connect_for_ever(rank: int) -> None:
    tensor = GuardedTensor([5], dtype=torch.int64)
    gloo, begin = dist.ProcessGroupGloo, time.monotonic()
    dist.ProcessGroupGloo = lambda *_: time.sleep(TIMEOUT)  # as it does behind a rank that died
    with pytest.raises(ReplicaError, match=r"answer within 0\.5 s, got one that does not \(timed"):
        Replica(tensor, timeout=0.5)
    assert time.monotonic() - begin < 3
    dist.ProcessGroupGloo = gloo
    add_together(rank, tensor)
    assert tensor.tensor.eq(1).all()


def test_connecting_ends_within_the_timeout(tmp_path):
    run_ranks(1, tmp_path, connect_for_ever)


def die_when_connecting(rank: int, outcomes: Any) -> None:
    gloo = dist.ProcessGroupGloo

    def connect(*args: Any) -> Any:
        if rank == 1:
            threading.Timer(0.15, os.kill, (os.getpid(), signal.SIGKILL)).start()
        if rank == 2:
            time.sleep(0.3)  # so that rank 1 waits for it, and the others have its address
        return gloo(*args)

    dist.ProcessGroupGloo = connect
    with pytest.raises(ReplicaError):
        Replica(GuardedTensor([5]), timeout=1)
    outcomes.put((rank, time.monotonic()))
    os._exit(0)  # not the end of a test process


def test_rank_that_dies_while_they_connect_is_an_error_within_the_timeout(tmp_path):
    outcomes, begin = mp.get_context("fork").SimpleQueue(), time.monotonic()
    with ranks_that_may_die(4, tmp_path, die_when_connecting, outcomes) as ranks:
        told = [outcomes.get() for _ in range(3)]
        ranks[1].join(TIMEOUT)
        assert ranks[1].exitcode == -signal.SIGKILL
    assert {rank for rank, _ in told} == {0, 2, 3}
    assert max(when for _, when in told) - begin < 4


def test_threads_that_come_and_leave_meet_in_the_end_and_never_twice():
    store, size = HashStore(), 4

    def come(rank: int) -> list[int]:
        link, numbers = Link("Replica", connection_to(store, 30.0)), []
        while len(numbers) < 20:
            number, missing = meet(link, "key", rank, size, 0.002 * (rank + 1))
            if not missing:
                numbers.append(number)
        return numbers

    assert run_threads(size, come) == [list(range(20))] * size
