"""Tasks of torch.jit.fork, which run on torch's inter-op threads, lose nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

ops = torch.ops.atomics
TASKS, N = 4, 3000
WIDE = 1000  # elements: adding takes long enough to be met


class Tasks(nn.Module):
    """Each task makes n steps of each kind; all share the buffers."""

    def __init__(self) -> None:
        super().__init__()
        one = torch.zeros(1, dtype=torch.int64)
        self.register_buffer("index", torch.tensor([1, 0, 1]))
        self.register_buffer("ones", torch.ones(3, WIDE, dtype=torch.int64))
        self.register_buffer("mutex", ops.create_mutex())
        self.register_buffer("count", one)
        self.register_buffer("swapped", one.clone())
        self.register_buffer("permits", one.clone())
        self.register_buffer("table", torch.zeros(2, WIDE, dtype=torch.int64))
        self.register_buffer("guarded", torch.zeros(WIDE))
        self.register_buffer("gradient", torch.ones(WIDE))
        self.register_buffer("locked", one.clone())

    def work(self, n: int) -> tuple[Tensor, int]:
        tickets: list[int] = []
        permits = 0
        for _ in range(n):
            tickets.append(torch.ops.atomics.fetch_add(self.count, 1))
            swapped, old = False, 0
            while not swapped:
                old, swapped = torch.ops.atomics.compare_exchange(self.swapped, old, old + 1)
            _, permitted = torch.ops.atomics.fetch_add_below(self.permits, 1, n)
            permits += int(permitted)
            torch.ops.atomics.index_add_(self.table, 0, self.index, self.ones)
            torch.ops.atomics.guarded_add_(self.mutex, self.guarded, self.gradient)
            torch.ops.atomics.mutex_lock(self.mutex)
            self.locked.copy_(self.locked + 1)
            torch.ops.atomics.mutex_unlock(self.mutex)
        return torch.tensor(tickets), permits

    def forward(self, tasks: int, n: int) -> tuple[list[Tensor], int]:
        futures = [torch.jit.fork(self.work, n) for _ in range(tasks)]
        tickets: list[Tensor] = []
        permits = 0
        for future in futures:
            drawn, permitted = torch.jit.wait(future)
            tickets.append(drawn)
            permits += permitted
        return tickets, permits


def frozen(module: nn.Module) -> torch.jit.ScriptModule:
    # By itself freezing drops what forks do to attributes: counts, locks, torch's own ops too.
    shared = ["mutex", "count", "swapped", "permits", "table", "guarded", "locked"]
    return torch.jit.freeze(torch.jit.script(module.eval()), preserved_attrs=shared)


@pytest.mark.parametrize("script", [torch.jit.script, frozen])
def test_forked_tasks_count_exactly(script):
    module = Tasks()
    tickets, permits = script(module)(TASKS, N)
    assert torch.cat(tickets).sort().values.tolist() == list(range(TASKS * N))
    assert permits == module.permits.item() == N
    assert module.count.item() == module.swapped.item() == TASKS * N
    assert module.table.tolist() == [[TASKS * N] * WIDE, [2 * TASKS * N] * WIDE]
    assert module.guarded.tolist() == [TASKS * N] * WIDE
    assert module.locked.item() == TASKS * N


@torch.jit.script
def wait_for(flag: Tensor, data: Tensor) -> tuple[bool, Tensor]:
    while not bool(torch.ops.atomics.check_atomic_bool(flag)):
        if not torch.ops.atomics.wait(flag, 0, 30.0):
            return False, torch.ops.atomics.load(data)
    return True, torch.ops.atomics.load(data)


@torch.jit.script
def tell_a_task(flag: Tensor, data: Tensor) -> tuple[bool, Tensor]:
    future = torch.jit.fork(wait_for, flag, data)
    torch.ops.atomics.store_(data, 7)
    torch.ops.atomics.conditional_set_atomic_bool(flag, torch.tensor(True))
    return torch.jit.wait(future)


def test_task_that_waits_for_a_flag_sees_what_was_stored_before_it():
    for _ in range(20):
        told, seen = tell_a_task(ops.create_atomic_bool(), torch.zeros(1, dtype=torch.int64))
        assert told
        assert seen.item() == 7
