"""No update is lost, by real parallel threads and by processes. Each test asserts an exact total.

C++ threads run the op structs in tight loops; scripted loops, which hold no GIL, make one-element
calls; the dense and indexed ops make large calls. With a plain load and store in csrc/cpu/ref.h the
C++ program, the large calls and the indexed calls fail in every run (tried by hand); one-element
calls spend too little of their time in the race to fail in every one.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch
from meaning import held
from op_table import INTEGERS, NUMBERS
from support import START_METHODS, TIMEOUT, run_processes, run_threads
from torch import Tensor

import caffe2op_atomics as package
from caffe2op_atomics import ops

atomics = torch.ops.atomics
WORKERS = 3
numbers = pytest.mark.parametrize("dtype", NUMBERS, ids=str)


def countable(dtype: torch.dtype, n: int) -> int:
    """Return n, or as many of it as WORKERS can count to in floats that stop counting early."""
    return min(n, int(2 / torch.finfo(dtype).eps) // WORKERS) if dtype.is_floating_point else n


@torch.jit.script
def fetch_adds(cell: Tensor, one: Tensor, n: int) -> None:
    for _ in range(n):
        torch.ops.atomics.fetch_add(cell, one)


@torch.jit.script
def fetch_subs(cell: Tensor, one: Tensor, n: int) -> None:
    for _ in range(n):
        torch.ops.atomics.fetch_sub(cell, one)


@torch.jit.script
def adds(cell: Tensor, one: Tensor, n: int) -> None:
    for _ in range(n):
        torch.ops.atomics.add_(cell, one)


@torch.jit.script
def subs(cell: Tensor, one: Tensor, n: int) -> None:
    for _ in range(n):
        torch.ops.atomics.sub_(cell, one)


@torch.jit.script
def compare_exchanges(cell: Tensor, one: Tensor, n: int) -> None:
    for _ in range(n):
        done = False
        while not done:
            old = torch.ops.atomics.load(cell)
            _, success = torch.ops.atomics.compare_exchange(cell, old, old + one)
            done = bool(success.item())


@torch.jit.script
def exchanges(cell: Tensor, taken: Tensor, n: int) -> None:
    """Put tokens in, take out what is there: no token may be taken twice or get lost."""
    for _ in range(n):
        taken += torch.ops.atomics.exchange(cell, torch.ones_like(cell)).long()


def test_op_structs_are_exact_on_tight_cpp_threads(tmp_path):
    program = tmp_path / "cells"
    source = Path(__file__).parent / "cells.cpp"
    subprocess.run(["c++", "-std=c++20", "-O2", "-pthread", source, "-o", program], check=True)
    result = subprocess.run([program], capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert result.returncode == 0, result.stdout
    assert len(result.stdout.splitlines()) > 200


LOOPS = {
    "fetch_add": (fetch_adds, 1),
    "fetch_sub": (fetch_subs, -1),
    "add_": (adds, 1),
    "sub_": (subs, -1),
    "compare_exchange": (compare_exchanges, 1),
}


@numbers
@pytest.mark.parametrize("op", LOOPS)
def test_threads_lose_no_update_of_one_element(op, dtype):
    loop, sign = LOOPS[op]
    n = countable(dtype, 30_000)
    cell = torch.zeros(1, dtype=dtype)
    run_threads(WORKERS, lambda _: loop(cell, torch.ones(1, dtype=dtype), n))
    assert cell.item() == held(dtype, sign * WORKERS * n)


@numbers
def test_threads_lose_no_token_of_an_exchange(dtype):
    n = countable(dtype, 30_000)
    cell = torch.zeros(1, dtype=dtype)
    taken = [torch.zeros(1, dtype=torch.int64) for _ in range(WORKERS)]
    run_threads(WORKERS, lambda rank: exchanges(cell, taken[rank], n))
    assert sum(t.item() for t in taken) + cell.item() == WORKERS * n


def dense_updates(_: int, target: Tensor, calls: int) -> None:
    ones = torch.ones_like(target)
    for _call in range(calls):
        ops.add_(target, ones)
        ops.fetch_add(target, ones)
        ops.sub_(target, ones, alpha=-1)
        ops.fetch_sub(target, ones)
        ops.fetch_add_below(target, ones, 127)
        ops.sub_(target, ones)


SIZE, CALLS = 100_000, 20


@numbers
@pytest.mark.parametrize("strided", [False, True])
def test_threads_lose_no_update_of_large_targets(strided, dtype):
    target = torch.zeros(2, SIZE, dtype=dtype)[:, :: 2 if strided else 1]
    run_threads(WORKERS, dense_updates, target, CALLS)
    assert target.eq(2 * WORKERS * CALLS).all()


@numbers
def test_processes_lose_no_update_of_large_targets(dtype):
    target = torch.zeros(SIZE, dtype=dtype).share_memory_()
    run_processes(WORKERS, dense_updates, target, CALLS)
    assert target.eq(2 * WORKERS * CALLS).all()


def flip_own_bit(rank: int, target: Tensor, lost: Tensor) -> None:
    """Set, clear and flip a bit of one's own in every element: nobody else may change it."""
    mine = torch.full_like(target, 1 << rank)
    for _call in range(CALLS):
        lost += ops.fetch_or(target, mine).bitwise_and(mine).ne(0).sum()
        lost += ops.fetch_xor(target, mine).bitwise_and(mine).eq(0).sum()
        ops.or_(target, mine)
        lost += ops.fetch_and(target, mine.bitwise_not()).bitwise_and(mine).eq(0).sum()
        ops.xor_(target, mine)
        ops.and_(target, mine.bitwise_not())


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_threads_lose_no_bit(dtype):
    target = torch.zeros(SIZE, dtype=dtype)
    lost = [torch.zeros((), dtype=torch.int64) for _ in range(WORKERS)]
    run_threads(WORKERS, lambda rank: flip_own_bit(rank, target, lost[rank]))
    assert sum(lost) == 0
    assert target.eq(0).all()


def flip(_: int, target: Tensor) -> None:
    for _call in range(5 * CALLS):
        ops.xor_(target, True)


def test_threads_lose_no_flip_of_a_bool():
    target = torch.zeros(SIZE, dtype=torch.bool)
    run_threads(WORKERS, flip, target)
    assert not target.any()


def extremes(rank: int, low: Tensor, high: Tensor, lost: Tensor) -> None:
    for step in range(CALLS):
        mine = (step * WORKERS + rank) % 120
        ops.max_(high, mine)
        ops.fetch_min(low, 120 - mine)
        lost += ops.load(high).lt(mine).sum() + ops.load(low).gt(120 - mine).sum()


@numbers
def test_threads_lose_no_extreme(dtype):
    low, high = torch.full((SIZE,), 120, dtype=dtype), torch.zeros(SIZE, dtype=dtype)
    lost = [torch.zeros((), dtype=torch.int64) for _ in range(WORKERS)]
    run_threads(WORKERS, lambda rank: extremes(rank, low, high, lost[rank]))
    assert sum(lost) == 0
    assert high.eq(CALLS * WORKERS - 1).all()
    assert low.eq(120 - (CALLS * WORKERS - 1)).all()


def indexed_updates(rank: int, target: Tensor, calls: int) -> None:
    """Add ``calls`` times to every row, twice in each call, in an order of one's own."""
    generator = torch.Generator().manual_seed(rank)
    rows = torch.arange(target.size(0)).repeat(2)
    index = rows[torch.randperm(rows.numel(), generator=generator)]
    for _call in range(calls):
        ops.index_add_(target, 0, index, 1)
        ops.index_fetch_add(target, 0, index, 1)


@numbers
@pytest.mark.parametrize("shape", [(20_000,), (2000, 40)])
@pytest.mark.parametrize("run", [run_threads, run_processes])
def test_indexed_adds_lose_no_update(run, shape, dtype):
    target = torch.zeros(shape, dtype=dtype).share_memory_()
    calls = 20
    run(WORKERS, indexed_updates, target, calls)
    assert target.eq(held(dtype, WORKERS * calls * 4)).all()


def indexed_tokens(_: int, target: Tensor, taken: Tensor, index: Tensor) -> None:
    for _call in range(20):
        taken += ops.index_exchange(target, 0, index, 1).sum(dtype=torch.int64)
        old, success = ops.index_compare_exchange(target, 0, index, 1, 0)
        taken += old[success].sum(dtype=torch.int64)


@numbers
@pytest.mark.parametrize("shape", [(20_000,), (2000, 40)])
def test_indexed_exchanges_lose_no_token(shape, dtype):
    target = torch.zeros(shape, dtype=dtype)
    taken = [torch.zeros((), dtype=torch.int64) for _ in range(WORKERS)]
    index = torch.arange(shape[0]).repeat(2)
    run_threads(WORKERS, lambda rank: indexed_tokens(rank, target, taken[rank], index))
    put = WORKERS * 20 * 2 * target.numel()
    assert sum(taken) + target.sum(dtype=torch.int64) == put


def take_tickets(rank: int, counter: package.Counter, taken: Tensor, n: int) -> None:
    for _ in range(n):
        taken[counter.next()] = rank + 1


def test_processes_take_each_ticket_of_a_counter_once(start_method):
    n = 20_000
    counter = package.Counter()
    taken = torch.zeros(WORKERS * n, dtype=torch.int32).share_memory_()
    run_processes(WORKERS, take_tickets, counter, taken, n, start_method=start_method)
    assert counter.value == WORKERS * n
    assert torch.bincount(taken).tolist() == [0] + [n] * WORKERS


def count_up_and_down(_: int, counter: package.Counter, n: int) -> None:
    for _call in range(n):
        counter += 3
        counter -= 1
        counter.fetch_add(-1)


def test_counter_operators_lose_nothing_between_processes():
    counter = package.Counter(5)
    run_processes(WORKERS, count_up_and_down, counter, 20_000)
    assert counter.value == 5 + WORKERS * 20_000


def racy_increments(_: int, mutex: package.Mutex, cell: Tensor, n: int) -> None:
    for _call in range(n):
        with mutex:
            cell[0] = cell[0].item() + 1


@pytest.mark.parametrize("start_method", START_METHODS)
def test_mutex_makes_racy_updates_exact(start_method):
    cell = torch.zeros(1, dtype=torch.int64).share_memory_()
    n = 3000
    run_processes(WORKERS, racy_increments, package.Mutex(), cell, n, start_method=start_method)
    assert cell.item() == WORKERS * n


@torch.jit.script
def locked_increments(mutex: Tensor, cell: Tensor, n: int) -> None:
    for _ in range(n):
        torch.ops.atomics.mutex_lock(mutex)
        cell += 1
        torch.ops.atomics.mutex_unlock(mutex)


def test_mutex_excludes_parallel_threads():
    cell = torch.zeros(1, dtype=torch.int64)
    mutex = atomics.create_mutex()
    run_threads(WORKERS, lambda _: locked_increments(mutex, cell, 20_000))
    assert cell.item() == WORKERS * 20_000
