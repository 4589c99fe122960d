"""No update is lost, by real parallel threads and by processes. Each test asserts an exact total.

C++ threads run the op structs in tight loops. Scripted loops, which hold no GIL, call ops on one
element or on few, so that workers meet there all the time. Loops of Python use the classes. With
plain loads and stores in csrc/cpu/ref.h and csrc/cpu/words.h or in csrc/python/counter.cpp, or
without the lock of a mutex, every test of what is broken fails.
"""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from meaning import held
from op_table import BITS, DTYPES, INTEGERS, NUMBERS
from support import START_METHODS, TIMEOUT, run_processes, run_threads
from torch import Tensor

import caffe2op_atomics as package

pytestmark = pytest.mark.contended

atomics = torch.ops.atomics
WORKERS = 3


def test_op_structs_are_exact_on_tight_cpp_threads(tmp_path):
    program = tmp_path / "cells"
    source = Path(__file__).parent / "cells.cpp"
    subprocess.run(["c++", "-std=c++20", "-O2", "-pthread", source, "-o", program], check=True)
    result = subprocess.run([program], capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert result.returncode == 0, result.stdout
    assert len(result.stdout.splitlines()) > 200


# The sizes of a target, and how often a worker runs a loop over it. A "number" is an operand of
# the overloads for one element; "rows" are indexed, twice each in every call.
TARGETS = {
    "number": ((1,), 12_000),
    "one": ((1,), 6000),
    "neighbours": ((999,), 2000),
    "strided": ((999, 2), 1000),
    "rows of one": ((999,), 500),
    "rows": ((27, 37), 500),
}
SOME = (torch.int64, torch.bfloat16)  # where the C++ threads have done the others
SINGLE, DENSE, INDEXED = ["number", "one"], ["neighbours", "strided"], ["rows of one", "rows"]


def contended(*cases: tuple[list[str], list[str], tuple[torch.dtype, ...]]) -> Any:
    """Parametrize a test by kinds of targets, ops and dtypes."""
    parameters = [
        pytest.param(*case, id="-".join(map(str, case)))
        for lists in cases
        for case in itertools.product(*lists)
    ]
    return pytest.mark.parametrize(("kind", "op", "dtype"), parameters)


def target_of(kind: str, dtype: torch.dtype, value: float = 0) -> Tensor:
    target = torch.full(TARGETS[kind][0], value, dtype=dtype).share_memory_()
    return target[:, 0] if kind == "strided" else target


def zeros_to_sum(like: Tensor) -> Tensor:
    """Return what sums of a dtype are exact in, integers modulo 2**64."""
    exact = torch.float64 if like.dtype.is_floating_point else torch.int64
    return torch.zeros(like.shape, dtype=exact)


@cache
def scripted(operand: str, *lines: str) -> Callable[..., None]:
    body = "\n        ".join(lines).replace("@", "torch.ops.atomics.")
    source = f"""
def loop(n: int, target: Tensor, index: Tensor, sums: Tensor, up: {operand}, down: {operand}):
    for _ in range(n):
        {body}
"""
    return torch.jit.CompilationUnit(source).loop


def run_loop(
    kind: str, target: Tensor, sums: Tensor, up: Tensor, down: Tensor, *lines: str
) -> None:
    """Run lines over and over, in which ``@`` stands before the name of an op."""
    index = torch.arange(target.size(0)).repeat(2)
    operands: list[Any] = [up, down]
    if kind == "number":
        operands = [operand.item() for operand in operands]
    elif kind in INDEXED:
        operands = [operand.expand_as(target)[index] for operand in operands]
    loop = scripted(type(operands[0]).__name__, *lines)
    loop(TARGETS[kind][1], target, index, sums, *operands)


def add_and_take_back(rank: int, kind: str, op: str, target: Tensor) -> None:
    """No sum of what workers may lose is zero, but by chance."""
    dtype, step = target.dtype, (1, 5, 25)[rank]
    up = torch.tensor(step, dtype=dtype)
    down = up if "xor" in op else torch.tensor(held(dtype, -step), dtype=dtype)
    at = "target, 0, index" if kind in INDEXED else "target"
    run_loop(kind, target, target, up, down, f"@{op}({at}, up)", f"@{op}({at}, down)")


@contended(
    (SINGLE + DENSE, ["add_", "sub_", "fetch_add", "fetch_sub"], NUMBERS),
    (DENSE, ["xor_", "fetch_xor"], BITS),
    (INDEXED, ["index_add_", "index_fetch_add"], NUMBERS),
)
def test_threads_lose_no_summand(kind, op, dtype):
    target = target_of(kind, dtype)
    run_threads(WORKERS, add_and_take_back, kind, op, target)
    assert target.eq(0).all()


@contended((DENSE, ["add_", "fetch_sub"], NUMBERS), (INDEXED, ["index_fetch_add"], NUMBERS))
def test_processes_lose_no_summand(kind, op, dtype):
    target = target_of(kind, dtype)
    run_processes(WORKERS, add_and_take_back, kind, op, target)
    assert target.eq(0).all()


# Calls after which a cell that was up or down is up, and down. Each returns what it found.
UP = {
    "exchange": "@exchange(target, up)",
    "compare_exchange": "@compare_exchange(target, down, up)[0]",
    "fetch_max": "@fetch_max(target, up)",
    "fetch_or": "@fetch_or(target, up)",
    "fetch_add_below": "@fetch_add_below(target, up - down, up)[0]",
    "fetch_add_checked": "@fetch_add_checked(target, up - down)[0]",
    "index_exchange": "@index_exchange(target, 0, index, up)",
    "index_compare_exchange": "@index_compare_exchange(target, 0, index, down, up)[0]",
}
DOWN = {
    "exchange": "@exchange(target, down)",
    "compare_exchange": "@compare_exchange(target, up, down)[0]",
    "fetch_min": "@fetch_min(target, down)",
    "fetch_and": "@fetch_and(target, down)",
    "index_exchange": "@index_exchange(target, 0, index, down)",
    "index_compare_exchange": "@index_compare_exchange(target, 0, index, up, down)[0]",
}


def find(rank: int, kind: str, target: Tensor, found: list[Tensor], *arguments: Any) -> None:
    run_loop(kind, target, found[rank], *arguments)


@contended(
    (SINGLE, ["exchange", "compare_exchange", "fetch_max/fetch_min"], SOME),
    (DENSE, ["exchange", "compare_exchange", "fetch_max/fetch_min"], DTYPES),
    (SINGLE, ["fetch_or/fetch_and", "fetch_add_checked/exchange"], (torch.int64,)),
    (DENSE, ["fetch_or/fetch_and"], BITS),
    (DENSE, ["fetch_add_checked/exchange"], INTEGERS),
    (SINGLE, ["fetch_add_below/exchange"], SOME),
    (DENSE, ["fetch_add_below/exchange"], NUMBERS),
    (INDEXED, ["index_exchange", "index_compare_exchange"], DTYPES),
)
def test_each_value_that_was_left_is_found_once(kind, op, dtype):
    """What calls found, and what is there in the end, is what was there and what calls left."""
    rise, _, fall = op.partition("/")
    most = torch.iinfo(dtype).max if dtype in INTEGERS else 1
    up, down = torch.tensor(most, dtype=dtype), torch.tensor(most - 1, dtype=dtype)
    lines = f"sums += {UP[rise]}", f"sums += {DOWN[fall or rise]}"
    times = 2 if kind in INDEXED else 1
    left = most - 1 + WORKERS * TARGETS[kind][1] * times * (most + most - 1)
    # What is lost and what is found twice may be the same in a single element.
    for _ in range(3 if kind in SINGLE else 1):
        target = target_of(kind, dtype, most - 1)
        found = [zeros_to_sum(torch.cat([target] * times)) for _ in range(WORKERS)]
        run_threads(WORKERS, find, kind, target, found, up, down, *lines)
        total = target + sum(sum(found).chunk(times))
        assert total.eq(held(total.dtype, left)).all()


def lift_and_drop_own(rank: int, kind: str, op: str, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return which cells are the worker's own, and how often it found them lifted."""
    own = torch.arange(target.numel()).view(target.shape) % WORKERS == rank
    lift, _, drop = op.partition("/")
    at = "target, 0, index" if kind in INDEXED else "target"
    look = "sums += @load(target)"
    sums = zeros_to_sum(target)
    lines = f"@{lift}({at}, up)", look, f"@{drop}({at}, down)", look
    run_loop(kind, target, sums, own.to(target.dtype), own.logical_not().to(target.dtype), *lines)
    return own, sums


@contended(
    (DENSE, ["max_/min_"], DTYPES),
    (DENSE, ["or_/and_"], BITS),
    (INDEXED, ["index_max_/index_min_"], DTYPES),
    (INDEXED, ["index_or_/index_and_"], BITS),
)
def test_threads_leave_each_other_s_cells_alone(kind, op, dtype):
    """Workers have cells that they alone lift and drop; others call the op on them in vain."""
    target = target_of(kind, dtype)
    for own, sums in run_threads(WORKERS, lift_and_drop_own, kind, op, target):
        assert sums[own].eq(TARGETS[kind][1]).all()
    assert not target.any()


def take_tickets(rank: int, counter: package.Counter, taken: Tensor, n: int) -> None:
    tickets = [counter.next() for _ in range(n)]
    taken[torch.tensor(tickets)] = rank + 1


def test_processes_take_each_ticket_of_a_counter_once(start_method):
    n = 50_000
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
        cell.copy_(cell + 1)
        torch.ops.atomics.mutex_unlock(mutex)


def test_mutex_excludes_parallel_threads():
    cell = torch.zeros(1, dtype=torch.int64)
    mutex = atomics.create_mutex()
    run_threads(WORKERS, lambda _: locked_increments(mutex, cell, 20_000))
    assert cell.item() == WORKERS * 20_000
