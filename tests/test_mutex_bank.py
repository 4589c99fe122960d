"""Mutex.bank: many mutexes in one piece of memory, each as any other."""

from __future__ import annotations

import pytest
import torch
import torch.multiprocessing as mp
from support import run_processes, run_threads
from torch import Tensor
from victims import die

from caffe2op_atomics import Mutex, OwnerDiedError

N, ROUNDS = 5, 2000


def test_mutexes_of_a_bank_are_independent():
    bank = Mutex.bank(3, "recover", warn_after=None)
    with bank[0], bank[2]:
        assert [mutex.locked() for mutex in bank] == [True, False, True]
        assert run_threads(1, lambda _: [each.acquire(blocking=False) for each in bank]) == [
            [False, True, False]
        ]
    assert bank[1].acquire(timeout=5)  # of a thread that ended
    assert [mutex.recoveries for mutex in bank] == [0, 1, 0]
    bank[1].release()


def count(rank: int, bank: list[Mutex], counts: Tensor) -> None:
    for k in range(ROUNDS):
        i = (k + rank) % len(bank)
        with bank[i]:
            counts[i] += 1


@pytest.mark.parametrize("alone", [False, True], ids=["all", "one by one"])
def test_a_bank_travels_and_excludes_other_processes(alone, strategy):
    bank, counts = Mutex.bank(N), torch.zeros(N, dtype=torch.int64).share_memory_()
    if alone:
        context = mp.get_context("spawn")
        queue = context.SimpleQueue()
        for mutex in reversed(bank):
            queue.put(mutex)
        bank = [queue.get() for _ in bank][::-1]
    run_processes(2, count, bank, counts, start_method="spawn")
    assert counts.tolist() == [2 * ROUNDS // N] * N
    assert not any(mutex.locked() for mutex in bank)


def test_a_death_concerns_the_mutexes_that_were_held():
    bank = Mutex.bank(4)
    die(lambda: [bank[k].acquire() for k in (1, 3)])
    for k, mutex in enumerate(bank):
        if k in (1, 3):
            with pytest.raises(OwnerDiedError):
                mutex.acquire(timeout=5)
            mutex.consistent()
        else:
            assert mutex.acquire(timeout=5)
        mutex.release()
    assert [mutex.recoveries for mutex in bank] == [0, 1, 0, 1]


@pytest.mark.parametrize("n", [0, -1, 1025])
def test_a_bank_has_1_to_1024_mutexes(n):
    with pytest.raises(ValueError, match=rf"^Mutex.bank: n must be from 1 to 1024, got {n}$"):
        Mutex.bank(n)
    with pytest.raises(TypeError, match=r"^Mutex.bank: n must be an integer, got float$"):
        Mutex.bank(2.5)
    assert len(Mutex.bank(1024)) == 1024
