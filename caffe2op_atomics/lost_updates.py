"""Measures how many updates a function loses when several processes call it at once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from typing import Any, NoReturn, TypeVar

import torch
import torch.multiprocessing as mp
from torch import Tensor
from torch.multiprocessing.spawn import ProcessException, start_processes

_Target = TypeVar("_Target")


@dataclass(frozen=True)
class LostUpdates:
    """What :func:`check_lost_updates` found.

    Attributes:
        updates: calls that were made at once, ``workers * calls``.
        lost: how many of them ``target`` does not show. Not always whole: of an update to many
            elements, some may be lost. Negative if ``target`` shows more than was added.
        workers: processes that made them.
    """

    updates: int
    lost: float
    workers: int

    @property
    def share(self) -> float:
        """The part of all updates that was lost, from 0 to 1."""
        return self.lost / self.updates

    def __bool__(self) -> NoReturn:
        raise TypeError("LostUpdates is neither true nor false; look at its lost")

    def __str__(self) -> str:
        return (
            f"{self.updates:,} updates by {self.workers} workers: "
            f"{self.lost:,.0f} lost ({self.share:.2%})"
        )


def check_lost_updates(
    fn: Callable[[_Target], object],
    target: _Target,
    workers: int = 2,
    calls: int = 100_000,
    *,
    read: Callable[[_Target], Any] | None = None,
    start_method: str = "fork",
    timeout: float = 300,
) -> LostUpdates:
    """Call ``fn(target)`` from several processes at once and count the updates that vanish.

    First one process makes all the calls, then ``workers`` processes share them, started behind a
    barrier; what the first run added and the second did not is lost. So ``fn`` must be an update
    whose order does not matter, like an addition, that adds the same at every call. A racy ``fn``
    may lose nothing in a run, on one core for instance: the report is a measurement, not a proof.

    Args:
        fn: the update. Anything callable under ``fork``; a function of a module otherwise.
        target: what ``fn`` updates: a CPU tensor, which is copied to shared memory first and not
            changed itself, or another object that processes share, which is changed.
        workers: processes that update at once, at least 2.
        calls: calls per worker, at least 1. Fewer than the default end before workers meet.
        read: gives target's value, as a number or a tensor; for a tensor the tensor itself, for
            other objects ``target.value`` if not given.
        start_method: ``"fork"``, ``"spawn"`` or ``"forkserver"``.
        timeout: seconds for each of the two runs.

    Returns:
        The report; ``print`` it.

    Raises:
        TypeError: if there is no way to read ``target``.
        ValueError: if ``workers`` or ``calls`` is too small, or ``fn`` does not change ``target``.
        RuntimeError: if a worker raises or dies.
        TimeoutError: if a run takes longer than ``timeout``.

    Example:
        >>> def count(cell):
        ...     torch.ops.atomics.add_.int(cell, 1)
        >>> print(check_lost_updates(count, torch.zeros(1, dtype=torch.int64), calls=1000))
        2,000 updates by 2 workers: 0 lost (0.00%)
    """
    if workers < 2:
        raise ValueError(f"check_lost_updates: workers must be at least 2, got {workers}")
    if calls < 1:
        raise ValueError(f"check_lost_updates: calls must be at least 1, got {calls}")
    if read is None and not isinstance(target, Tensor) and not hasattr(target, "value"):
        raise TypeError(
            "check_lost_updates: target must be a tensor, have a value, or come with read, "
            f"got {type(target).__name__}"
        )
    added = []
    for processes in (1, workers):
        # The same start for both runs: equal floating-point additions then round alike.
        shared: Any = target.clone().share_memory_() if isinstance(target, Tensor) else target
        before = _value(shared, read)
        _run(fn, shared, processes, workers * calls // processes, start_method, timeout)
        added.append(_value(shared, read).double() - before.double())

    updates = workers * calls
    share = _missing(*added)
    if before.is_floating_point():
        # Sums in another order differ by rounding, which is no loss.
        rounding = math.sqrt(updates) * torch.finfo(before.dtype).eps
        share = 0.0 if abs(share) <= rounding else share
    return LostUpdates(updates=updates, lost=share * updates, workers=workers)


def _value(shared: Any, read: Callable[[Any], Any] | None) -> Tensor:
    if read is not None:
        value = read(shared)
    else:
        value = shared if isinstance(shared, Tensor) else shared.value
    return torch.as_tensor(value).detach().clone()


def _missing(expected: Tensor, actual: Tensor) -> float:
    """Return the part of ``expected`` that ``actual`` lacks."""
    total = expected.abs().sum()
    if total == 0:
        raise ValueError(
            "check_lost_updates: fn must change target, got one that does not, "
            "or a target that processes do not share"
        )
    return float(((expected - actual) * expected.sign()).sum() / total)


def _run(
    fn: Callable[[Any], object], target: Any, workers: int, calls: int, method: str, timeout: float
) -> None:
    barrier = mp.get_context(method).Barrier(workers)
    context = start_processes(
        _work, (fn, target, calls, barrier), nprocs=workers, join=False, start_method=method
    )
    deadline = time.monotonic() + timeout
    try:
        while not context.join(timeout=max(deadline - time.monotonic(), 0)):
            if time.monotonic() >= deadline:
                raise TimeoutError(f"check_lost_updates: no end after {timeout} s")
    except ProcessException as error:
        raise RuntimeError(f"check_lost_updates: a worker failed: {error}") from error
    finally:
        for process in context.processes:
            process.kill()


def _work(_: int, fn: Callable[[Any], object], target: Any, calls: int, barrier: Barrier) -> None:
    torch.set_num_threads(1)  # intra-op threads hang in a forked child
    barrier.wait(timeout=60)
    for _call in range(calls):
        fn(target)
