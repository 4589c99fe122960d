"""What the self-test tries: a function for each promise, which returns what it found in words.

What other processes do in it is a function here, too, because they are sent its name.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor

from . import ops
from ._helpers import LIFE, Crew, Job
from .atomic_bool import AtomicBool
from .counter import Counter
from .guarded_tensor import GuardedTensor
from .mutex import Mutex, OwnerDiedError

PATIENCE = 20.0  # seconds, of a step on a machine that is busy
HELPERS = 2
_THREADS = 4
_SIZE = 2**17  # a call takes so long that the workers meet in it
_CALLS = 100
_RACY_CALLS = 10 * _CALLS  # they are as much faster
_STEPS = 100_000
_WAKES = 5
_LOOKS_EVERY = 0.05  # seconds: who waits and is not woken
_RECOVERY = 1.0  # seconds, in which a mutex is had after a death: it takes some milliseconds


class CheckError(Exception):
    """A check found something to be otherwise than promised."""


def compile_guard(_: Crew) -> str:
    """Have dynamo compile an op, which it must not."""
    if not torch._dynamo.is_dynamo_supported():  # type: ignore[attr-defined]
        return "not tried: torch.compile does not support this Python"
    graphs: list[str] = []

    def backend(graph: Any, _: object) -> Any:
        graphs.append(graph.code)
        return graph.forward

    def step(cell: Tensor, x: Tensor) -> Tensor:
        y = x + 1
        ops.add_(cell, 1)
        return y * 2

    cell = torch.zeros(1, dtype=torch.int64)
    torch.compile(step, backend=backend)(cell, torch.ones(2))
    if not graphs or any("atomics" in graph for graph in graphs):
        raise CheckError("an op was compiled into a graph, where torch may run it on a copy")
    if cell.item() != 1:
        raise CheckError(f"1 was added to 0 in a compiled function, and {cell.item()} came of it")
    return "an op broke the graph and updated its tensor"


def arrival(crew: Crew) -> str:
    """Wait for the other processes."""
    return f"{HELPERS} came by spawn within {crew.arrive(3 * PATIENCE):.1f} s"


def _meet(gate: Counter, total: int) -> None:
    gate += 1
    if not gate.wait_until(total, PATIENCE):
        raise TimeoutError(f"the other workers did not come within {PATIENCE:g} s")


def _add(exact: Tensor, racy: Tensor, gate: Counter, workers: int) -> None:
    torch.set_num_threads(1)  # of each of these threads
    ones = torch.ones_like(exact)
    _meet(gate, workers)
    for _ in range(_CALLS):
        ops.add_(exact, ones)
    _meet(gate, 2 * workers)
    for _ in range(_RACY_CALLS):
        racy.add_(ones)


def _account(exact: Tensor, racy: Tensor, workers: int) -> str:
    total = workers * _CALLS * _SIZE
    missing = total - int(exact.sum())
    if missing or not exact.eq(workers * _CALLS).all():
        raise CheckError(f"of {total:,} additions {missing:,} are missing")
    lost = workers * _RACY_CALLS * _SIZE - int(racy.sum())
    return f"{total:,} additions by {workers}, none lost (torch's own add_, racy: {lost:,})"


def threads(_: Crew) -> str:
    """Add to one tensor from several threads."""
    exact, racy = torch.zeros(2, _SIZE, dtype=torch.int64)
    work = partial(_add, exact, racy, Counter(), _THREADS)
    for job in [Job(work) for _ in range(_THREADS)]:
        job.result(PATIENCE)
    return _account(exact, racy, _THREADS)


def _all_of(crew: Crew, work: Callable[..., Any], *args: Any) -> None:
    helpers = crew.helpers()
    for helper in helpers:
        helper.begin(work, *args)
    for helper in helpers:
        helper.result(PATIENCE)


def processes(crew: Crew) -> str:
    """Add to one tensor from several processes."""
    exact, racy = (torch.zeros(_SIZE, dtype=torch.int64).share_memory_() for _ in range(2))
    _all_of(crew, _add, exact, racy, Counter(), HELPERS)
    return _account(exact, racy, HELPERS)


def _count(counter: Counter, gate: Counter) -> None:
    _meet(gate, HELPERS)
    for _ in range(_STEPS):
        counter += 1


def counter(crew: Crew) -> str:
    """Count in several processes."""
    counter, total = Counter(), HELPERS * _STEPS
    _all_of(crew, _count, counter, Counter())
    if counter.value != total:
        raise CheckError(
            f"{HELPERS} processes counted to {total:,}, and {counter.value:,} came of it"
        )
    return f"{HELPERS} processes counted to {total:,}, none lost"


def _add_guarded(guarded: GuardedTensor, gate: Counter) -> None:
    ones = torch.ones(_SIZE)
    _meet(gate, HELPERS)
    for _ in range(_CALLS):
        guarded.add_(ones)


def guarded(crew: Crew) -> str:
    """Add to a guarded tensor from several processes."""
    guarded, total = GuardedTensor([_SIZE]), HELPERS * _CALLS * _SIZE
    _all_of(crew, _add_guarded, guarded, Counter())
    found = int(guarded.snapshot().sum(dtype=torch.float64))
    if found != total:
        raise CheckError(f"of {total:,} guarded additions {total - found:,} are missing")
    return f"{total:,} additions by {HELPERS} processes, none lost"


def _await(flag: AtomicBool, waiting: Counter) -> float | None:
    waiting += 1
    return time.monotonic() if flag.wait(PATIENCE) else None


def flag(crew: Crew) -> str:
    """Wake another process."""
    helper, took = crew.helpers()[0], []
    for _ in range(_WAKES):
        flag, waiting = AtomicBool(), Counter()
        helper.begin(_await, flag, waiting)
        _see(waiting, 1)
        time.sleep(_LOOKS_EVERY / 10)  # it sleeps now, and looks again long after the flag is set
        began = time.monotonic()
        flag.set()
        woke = helper.result(2 * PATIENCE)
        if woke is None:
            raise CheckError(
                f"a flag was set, and who waited for it did not see it in {PATIENCE:g} s"
            )
        took.append(woke - began)
    if min(took) > _LOOKS_EVERY / 2:
        raise CheckError(
            f"who waits for a flag is not woken, but looks every {_LOOKS_EVERY * 1e3:g} ms"
        )
    return f"another process woke {median(took) * 1e3:.2f} ms after it was set"


def _see(counter: Counter, value: int) -> None:
    if not counter.wait_until(value, PATIENCE):
        raise CheckError(f"another process did not begin to wait within {PATIENCE:g} s")


def _attach(name: str) -> None:
    counter = Counter(name=name)
    counter += 41


def name(crew: Crew) -> str:
    """Have another process attach by name."""
    counter = Counter(1, name=f"self_test.{uuid.uuid4().hex}")
    try:
        crew.helpers()[0].begin(_attach, counter.name)
        crew.helpers()[0].result(PATIENCE)
    finally:
        counter.unlink()
    if counter.value != 42:
        raise CheckError(f"another process added 41 to 1 by name, and {counter.value} came of it")
    return "another process attached by name, and both had one counter"


def _hold(mutex: Mutex, held: Counter) -> None:
    mutex.acquire()
    held += 1
    time.sleep(LIFE)


def _survive(mutex: Mutex, waiting: Counter) -> tuple[float, bool] | None:
    waiting += 1
    told = False
    try:
        if not mutex.acquire(timeout=PATIENCE):
            return None
    except OwnerDiedError:
        told = True
        mutex.consistent()
    came = time.monotonic()
    mutex.release()
    return came, told


def killed_holder(crew: Crew) -> str:
    """Kill a helper: the last of the checks."""
    holder, waiter = crew.helpers()
    mutex, held, waiting = Mutex(), Counter(), Counter()
    holder.begin(_hold, mutex, held)
    _see(held, 1)
    waiter.begin(_survive, mutex, waiting)
    _see(waiting, 1)
    time.sleep(2 * _LOOKS_EVERY)
    killed = time.monotonic()
    holder.kill()
    outcome = waiter.result(2 * PATIENCE)
    if outcome is None:
        raise CheckError(f"a mutex whose holder was killed was not had within {PATIENCE:g} s")
    took, told = outcome[0] - killed, outcome[1]
    if not told:
        raise CheckError("a mutex whose holder was killed was had, but without OwnerDiedError")
    if took > _RECOVERY:
        raise CheckError(f"a mutex whose holder was killed was had {took:.1f} s later: over 1 s")
    return f"the next one had its mutex {took * 1e3:.1f} ms after the kill, and was told"
