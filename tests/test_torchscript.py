"""Scripted, traced, frozen, optimized, saved and loaded modules keep ops and shared state."""

from __future__ import annotations

import pytest
import torch
from op_table import FLOATS, INTEGERS
from scripted import FREEZING, WAYS, save_and_load
from support import run_threads
from torch import Tensor

from caffe2op_atomics import Counter

ops = torch.ops.atomics
X = torch.ones(2)

by_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
by_freezing = pytest.mark.parametrize("way", [WAYS[way] for way in FREEZING], ids=FREEZING)
# Through a file, or not.
by_load = pytest.mark.parametrize("load", [lambda script: script, save_and_load], ids=["", "load"])


class Counting(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(1, dtype=torch.int64))
        self.register_buffer("stop", ops.create_atomic_bool())
        self.register_buffer("one", torch.ones(1, dtype=torch.int64))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        torch.ops.atomics.fetch_add(self.count, self.one)  # unused, and yet it has to stay
        old = torch.ops.atomics.fetch_add(self.count, self.one)
        return x * 2, old, torch.ops.atomics.check_atomic_bool(self.stop)


@by_way
@by_load
def test_module_counts_every_call(way, load):
    module = Counting()
    script = load(way(module, X))
    start = module.count.item()  # tracing runs the module once
    for call in range(3):
        doubled, old, stop = script(X)
        assert doubled.tolist() == [2, 2]
        assert old.item() == start + 2 * call + 1
        assert stop.tolist() == [False]


@by_way
def test_loaded_module_counts_in_a_copy_until_it_is_given_a_tensor(way):
    module, counter = Counting(), Counter()
    script = way(module, X)
    loaded = save_and_load(script)
    before = module.count.item()
    loaded(X)
    assert module.count.item() == before
    loaded.count = counter.tensor

    def call(_: int) -> None:
        for _ in range(500):
            loaded(X)

    run_threads(2, call)
    assert counter.value == 2 * 2 * 500
    assert module.count.item() == before


@by_freezing
@by_load
def test_frozen_module_sees_the_flag_change(way, load):
    script = load(way(Counting(), X))
    seen = []
    for _ in range(3):
        seen.append(script(X)[2].item())
        ops.conditional_set_atomic_bool(script.stop, torch.tensor(True))
    assert seen == [False, True, True]


@torch.jit.script
def two_mutexes(token: Tensor) -> tuple[Tensor, Tensor]:
    return torch.ops.atomics.create_mutex(token), torch.ops.atomics.create_mutex(token, 2)


def test_scripted_mutexes_are_distinct():
    token = torch.zeros(1)
    mutexes = [mutex for _ in range(4) for mutex in two_mutexes(token)]
    assert len({mutex.data_ptr() for mutex in mutexes}) == 8
    for mutex in mutexes:
        assert ops.mutex_lock(mutex) == 1
    assert [mutex.shape[0] for mutex in mutexes] == [1, 2] * 4


@torch.jit.script
def integer_overloads(cell: Tensor) -> tuple[int, int, int, int, tuple[int, bool]]:
    old = torch.ops.atomics.fetch_add(cell, 5)
    swapped = torch.ops.atomics.exchange(cell, 7)
    before, _ = torch.ops.atomics.compare_exchange(cell, 7, 8)
    bits = torch.ops.atomics.fetch_xor(cell, 1)
    return old, swapped, before, bits, torch.ops.atomics.fetch_add_below(cell, 1, 9)


@torch.jit.script
def float_overloads(cell: Tensor) -> tuple[float, float, tuple[float, bool]]:
    old = torch.ops.atomics.fetch_max(cell, 2.5)
    torch.ops.atomics.sub_(cell, 0.5)
    swapped = torch.ops.atomics.exchange(cell, 2.0)
    return old, swapped, torch.ops.atomics.fetch_add_below(cell, 1.0, 2.5)


@torch.jit.script
def bool_overloads(cell: Tensor) -> tuple[int, int]:
    # A script has one type for numbers that are bools in Python.
    torch.ops.atomics.or_(cell, 1)
    return torch.ops.atomics.fetch_xor(cell, 1), torch.ops.atomics.exchange(cell, 1)


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integer_overloads_are_reached_from_scripts(dtype):
    cell = torch.ones(1, dtype=dtype)
    assert integer_overloads(cell) == (1, 6, 7, 8, (9, False))
    assert cell.item() == 9


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_float_overloads_are_reached_from_scripts(dtype):
    cell = torch.ones(1, dtype=dtype)
    assert float_overloads(cell) == (1, 2, (2, False))
    assert cell.item() == 2


def test_overloads_for_bools_take_and_return_integers_in_scripts():
    cell = torch.zeros(1, dtype=torch.bool)
    assert bool_overloads(cell) == (1, 0)
    assert cell.tolist() == [True]


@torch.jit.script
def draw_tickets(tickets: Tensor, index: Tensor, noisy: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    torch.ops.atomics.add_(noisy, torch.ones_like(noisy), 0.5, seed)
    torch.ops.atomics.sub_(noisy, torch.ones_like(noisy))  # no alpha and no seed
    ones = torch.ones_like(index)
    drawn = torch.ops.atomics.index_fetch_add(tickets, 0, index, ones)
    _, won = torch.ops.atomics.index_compare_exchange(tickets, 0, index, ones, ones + ones)
    return drawn, won


def test_indexed_ops_and_seeds_are_reached_from_scripts():
    tickets = torch.zeros(3, dtype=torch.int64)
    noisy = torch.full((4,), 3.0, dtype=torch.bfloat16)
    drawn, won = draw_tickets(tickets, torch.tensor([2, 0, 2]), noisy, 5)
    assert drawn.tolist() == [0, 0, 1]
    assert won.tolist() == [False, True, False]
    assert tickets.tolist() == [2, 0, 2]
    assert noisy.tolist() == [2.5] * 4


@torch.jit.script
def transfer(mutex: Tensor, accounts: Tensor, n: int) -> bool:
    """Move 1 between two accounts under the mutex; true if their sum was always the same."""
    same = True
    for i in range(n):
        torch.ops.atomics.mutex_lock(mutex)
        accounts[i % 2] += 1
        accounts[(i + 1) % 2] -= 1
        same = same and int(accounts.sum().item()) == 0
        torch.ops.atomics.mutex_unlock(mutex)
    return same


def test_lock_and_unlock_stay_around_what_they_guard():
    accounts = torch.zeros(2, dtype=torch.int64)
    mutex = ops.create_mutex()
    assert all(run_threads(3, lambda _: transfer(mutex, accounts, 2000)))
