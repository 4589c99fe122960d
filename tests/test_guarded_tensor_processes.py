"""GuardedTensor between processes: whole sums, whole snapshots, whole after a death."""

from __future__ import annotations

import collections
import os
import random
import signal
import time
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
from named_files import ended, in_fork
from support import TIMEOUT, run_processes

from caffe2op_atomics import GuardedTensor, snapshot

pytestmark = pytest.mark.contended


def add_one(first: GuardedTensor, second: GuardedTensor, tensor: torch.Tensor) -> None:
    torch.set_num_threads(1)
    first.add_(1)
    second.index_add_(0, torch.tensor([1]), 1)
    assert tensor.equal(first.snapshot()), "the raw tensor arrived apart"
    assert first._bank.data_ptr() == second._bank.data_ptr()
    for own in (first.tensor, second.tensor):
        with pytest.raises(RuntimeError, match="data must be guarded once"):
            GuardedTensor(own)


def receive(queue: Any) -> None:
    items = queue.get(timeout=TIMEOUT)
    add_one(*items)
    finish("fork", add_one, *items)
    with pytest.raises(RuntimeError, match="got memory of an object in another process"):
        GuardedTensor(queue.get(timeout=TIMEOUT))


def finish(method: str, work: Any, *args: Any) -> None:
    process = mp.get_context(method).Process(target=work, args=args)
    process.start()
    process.join(TIMEOUT)
    assert process.exitcode == 0


def pair() -> tuple[GuardedTensor, GuardedTensor, torch.Tensor]:
    tensor = torch.zeros(3)
    first = GuardedTensor(tensor)
    return first, GuardedTensor([2], dtype=torch.int64, bank=first), tensor


def test_arguments_arrive_shared_with_their_bank(start_method, strategy):
    first, second, tensor = pair()
    finish(start_method, add_one, first, second, tensor)
    assert tensor.tolist() == first.tensor.tolist() == [1, 1, 1]
    assert second.snapshot().tolist() == [0, 1]


def test_items_of_a_queue_arrive_shared_and_a_tensor_alone_is_not_guarded_again(strategy):
    context = mp.get_context("forkserver")
    queue = context.Queue()
    process = context.Process(target=receive, args=(queue,))
    process.start()
    items, alone = pair(), torch.zeros(3).share_memory_()
    guarded = GuardedTensor(alone)
    queue.put(items)
    queue.put(alone)
    process.join(TIMEOUT)
    assert process.exitcode == 0
    assert items[0].snapshot().tolist() == [2, 2, 2]
    assert guarded.snapshot().tolist() == [0, 0, 0]


ROWS, BATCH, BATCHES = 2000, 4000, 100


def count(rank: int, words: torch.Tensor, counts: GuardedTensor, sums: GuardedTensor) -> None:
    for batch in words[rank]:
        counts.index_add_(0, batch, 1)
        sums.add_(1, alpha=rank + 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64], ids=str)
def test_no_update_of_two_processes_is_lost(dtype):
    # A few words are very frequent.
    words = torch.rand(2, BATCHES, BATCH, generator=torch.Generator().manual_seed(0))
    words = (ROWS * words**4).long()
    counts, sums = GuardedTensor([ROWS, 3], dtype=dtype), GuardedTensor([100_000], dtype=dtype)
    run_processes(2, count, words, counts, sums)
    expected = collections.Counter(words.flatten().tolist())
    assert counts.tensor.tolist() == [[expected[row]] * 3 for row in range(ROWS)]
    assert sums.tensor.eq(BATCHES * (1 + 2)).all()
    assert sums.recoveries == counts.recoveries == 0


def exchange(rank: int, guarded: GuardedTensor, taken: torch.Tensor) -> None:
    one = torch.ones(guarded.shape, dtype=torch.int64)
    for _ in range(200):
        if rank == 0:
            guarded.add_(one)
        else:
            taken.add_(guarded.exchange(0))


def test_what_is_exchanged_away_is_exactly_what_was_added():
    guarded = GuardedTensor([20_000], dtype=torch.int64)
    taken = torch.zeros(20_000, dtype=torch.int64).share_memory_()
    run_processes(2, exchange, guarded, taken)
    assert (taken + guarded.snapshot()).eq(200).all()


def add_for_ever(rank: int, guarded: list[GuardedTensor]) -> None:
    torch.set_num_threads(1)
    while True:
        for each in guarded:
            each.add_(1)


@pytest.mark.parametrize("one_bank", [False, True], ids=["banks", "one bank"])
def test_a_snapshot_of_several_is_one_moment(one_bank):
    first = GuardedTensor([3000], dtype=torch.int64)
    bank = first if one_bank else None
    large = GuardedTensor([300_000], dtype=torch.int64, bank=bank)  # copying it takes long
    last = GuardedTensor([3000], dtype=torch.int64, bank=bank)
    workers = mp.start_processes(
        add_for_ever, ([first, last],), nprocs=2, join=False, start_method="fork"
    )
    seen = set()
    deadline = time.monotonic() + TIMEOUT
    try:
        while len(seen) < 20:
            assert time.monotonic() < deadline
            begin, _, end = snapshot(first, large, last)
            assert begin.max() - begin.min() <= 2, "of each worker one update may be under way"
            assert 0 <= begin[0] - end[0] <= 2
            seen.add(begin[0].item())
    finally:
        for process in workers.processes:
            process.kill()
            process.join()


def test_killed_workers_leave_whole_updates_and_the_others_go_on():
    guarded = GuardedTensor([200_000], dtype=torch.int64)  # a worker is seldom outside of it
    recovered = 0
    for _ in range(20):
        pid = in_fork(lambda: add_for_ever(0, [guarded]))
        time.sleep(random.uniform(0.01, 0.03))
        os.kill(pid, signal.SIGKILL)
        assert ended(pid) == -signal.SIGKILL
        guarded.add_(1)
        values = guarded.exchange(0)
        assert values.max() - values.min() <= 1, "more than the update in flight is missing"
        assert guarded.recoveries - recovered in (0, 1)
        recovered = guarded.recoveries
    assert recovered > 5
