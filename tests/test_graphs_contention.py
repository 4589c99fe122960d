"""Nothing is lost between compiled functions and eager code, in threads and in processes.

Every shape reads before and after its update: of a plain op that a graph held, torch would run on a
clone and copy that back over what others did meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from support import NO_WARNINGS, run_processes, run_threads
from torch import Tensor

from caffe2op_atomics import Counter, GuardedTensor, foreach_add_, ops

pytestmark = [
    *NO_WARNINGS,
    pytest.mark.contended,
    pytest.mark.usefixtures("fresh_compiler", "one_thread_a_call"),
]

WORKERS = 4
LENGTH = 20_000  # of a call that takes long enough to be interrupted
ONE = torch.ones(LENGTH, dtype=torch.int64)

backends = pytest.mark.parametrize("backend", ["inductor", "aot_eager"])
runs = pytest.mark.parametrize("run", [run_threads, run_processes])


@pytest.fixture
def one_thread_a_call():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as a process of run_processes has: else it would compile again
    yield
    torch.set_num_threads(before)


def by_op(target: Tensor) -> Tensor:
    y = target * 2
    torch.ops.atomics.add_(target, ONE)
    return (y + target).sum()


def by_handle(handle: Tensor) -> Tensor:
    y = ops.handle_load(handle, [LENGTH], torch.int64) * 2
    ops.handle_add_(handle, ONE)
    return (y + ops.handle_load(handle, [LENGTH], torch.int64)).sum()


def by_guarded(guarded: GuardedTensor) -> Tensor:
    y = guarded.tensor * 2
    guarded.add_(ONE)
    return (y + guarded.tensor).sum()


def by_foreach(guarded: GuardedTensor) -> Tensor:
    y = guarded.tensor * 2
    foreach_add_([guarded], [ONE])
    return (y + guarded.tensor).sum()


def repeat(rank: int, ways: list[Callable[[Any], Any]], cell: Any, n: int) -> list[Any]:
    """Half of the workers call the compiled function."""
    way = ways[rank % 2]
    return [way(cell) for _ in range(n)]


@runs
@backends
@pytest.mark.parametrize("shape", [by_op, by_handle, by_guarded, by_foreach])
def test_sums_are_exact(shape, backend, run):
    target, n = torch.zeros(LENGTH, dtype=torch.int64).share_memory_(), 150
    cells = {by_op: lambda: target, by_handle: lambda: ops.handle(target)}
    cell = cells.get(shape, lambda: GuardedTensor(target))()
    compiled = torch.compile(shape, backend=backend, fullgraph=shape is not by_op)
    compiled(cell)
    run(WORKERS, repeat, [shape, compiled], cell, n)
    assert target.eq(WORKERS * n + 1).all()


def ticket(counter: Counter) -> int:
    before = counter.value * 2
    drawn = counter.next()
    counter += 1
    return drawn + 0 * (before + counter.value)


@backends
def test_compiled_and_eager_threads_never_draw_the_same_ticket(backend):
    counter, n = Counter(), 1000
    compiled = torch.compile(lambda c, x: (ticket(c), x + 1), backend=backend, fullgraph=True)
    x = torch.zeros(1)
    drawn = run_threads(WORKERS, repeat, [ticket, lambda c: compiled(c, x)[0]], counter, n)
    assert len({each for some in drawn for each in some}) == WORKERS * n
    assert counter.value == 2 * WORKERS * n


def count_in(rank: int, backend: str, counter: Counter, n: int) -> None:
    """A worker that compiles for itself, every other one."""
    x = torch.zeros(1)
    compiled = torch.compile(lambda c, x: (ticket(c), x + 1), backend=backend, fullgraph=True)
    for _ in range(n):
        compiled(counter, x) if rank % 2 else ticket(counter)


@pytest.mark.parametrize(
    ("backend", "start_method"),
    [("inductor", "fork"), ("aot_eager", "fork"), ("aot_eager", "spawn")],
)
def test_counter_is_exact_between_processes(backend, start_method):
    counter, n = Counter(), 2000
    run_processes(WORKERS, count_in, backend, counter, n, start_method=start_method)
    assert counter.value == 2 * WORKERS * n
