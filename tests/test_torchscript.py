"""script, trace, save, load and freeze keep the ops and the shared state."""

from __future__ import annotations

import io

import pytest
import torch
from support import run_threads
from torch import Tensor

ops = torch.ops.atomics


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


def reload(scripted):
    file = io.BytesIO()
    torch.jit.save(scripted, file)
    file.seek(0)
    return torch.jit.load(file)


def traced(module):
    return torch.jit.trace(module, torch.ones(2), check_trace=False)


WAYS = {
    "script": torch.jit.script,
    "trace": traced,
    "script, save, load": lambda module: reload(torch.jit.script(module)),
    "script, freeze": lambda module: torch.jit.freeze(torch.jit.script(module.eval())),
    "script, freeze, save, load": lambda module: reload(
        torch.jit.freeze(torch.jit.script(module.eval()))
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_module_counts_every_call(way):
    module = WAYS[way](Counting())
    start = 2 if way == "trace" else 0  # tracing runs the module once
    for call in range(3):
        doubled, old, stop = module(torch.ones(2))
        assert doubled.tolist() == [2, 2]
        assert old.item() == start + 2 * call + 1
        assert stop.tolist() == [False]


def test_frozen_module_sees_the_flag_change():
    module = Counting().eval()
    frozen = torch.jit.freeze(torch.jit.script(module))
    seen = []
    for _ in range(3):
        seen.append(frozen(torch.ones(1))[2].item())
        ops.conditional_set_atomic_bool(module.stop, torch.tensor(True))
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
def number_overloads(cell: Tensor) -> tuple[int, int, int]:
    old = torch.ops.atomics.fetch_add(cell, 5)
    swapped = torch.ops.atomics.exchange(cell, 7)
    before, _ = torch.ops.atomics.compare_exchange(cell, 7, 8)
    return old, swapped, before


def test_number_overloads_are_reached_from_scripts():
    cell = torch.ones(1, dtype=torch.int64)
    assert number_overloads(cell) == (1, 6, 7)
    assert cell.item() == 8


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
