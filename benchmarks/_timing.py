"""Times statements beside each other: workers in step, each on a core of its own."""

from __future__ import annotations

import multiprocessing.dummy
import os
import time
import timeit
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
import torch.multiprocessing as mp

ROUNDS = 7
PATIENCE = 60.0  # seconds after which a worker that does not come is given up


@dataclass(frozen=True)
class Way:
    """A way to do something.

    Attributes:
        code: a statement. It is timed as it stands, without a function around it.
        names: what its names mean to a worker, given its rank.
    """

    code: str
    names: Callable[[int], Mapping[str, object]]

    def timer(self, rank: int) -> timeit.Timer:
        """Return what times the statement in a worker."""
        return timeit.Timer(self.code, globals=dict(self.names(rank)))


@dataclass(frozen=True)
class Timing:
    """A way, measured.

    Attributes:
        rounds: nanoseconds of a call, while all workers make calls, in each round.
        calls: how often it was called in all, by whomever.
    """

    rounds: list[float]
    calls: int

    @property
    def nanoseconds(self) -> float:
        """The median over the rounds."""
        return median(self.rounds)


def measure(ways: Sequence[Way], workers: int, processes: bool, seconds: float) -> list[Timing]:
    """Measure ways in turn, round after round, for some ``seconds`` each time.

    Args:
        ways: what to measure. The machine's moods meet all of them alike.
        workers: how many do it at once.
        processes: whether they are forked processes, or threads.
        seconds: for how long, were a worker alone.

    Raises:
        RuntimeError: if a worker fails; it has said why.
    """
    context: Any = mp.get_context("fork") if processes else multiprocessing.dummy
    barrier = context.Barrier(workers)
    plans = [_plan(way, seconds) for way in ways]
    span = torch.full((ROUNDS, len(ways), workers, 2), torch.nan, dtype=torch.float64)
    span.share_memory_()

    def work(rank: int) -> None:
        torch.set_num_threads(1)  # in a forked child, torch's own threads hang
        # Left alone, the kernel may keep workers on one core, where they never meet.
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[rank % len(cores)]})
        try:
            for turn in range(ROUNDS):
                for k, (way, plan) in enumerate(zip(ways, plans, strict=True)):
                    timer = way.timer(rank)
                    barrier.wait(timeout=PATIENCE)
                    began = time.perf_counter()  # one clock for all processes
                    timer.timeit(plan.calls)
                    span[turn, k, rank, 1] = time.perf_counter()
                    span[turn, k, rank, 0] = began
        except BaseException:
            barrier.abort()
            raise

    crew = [context.Process(target=work, args=(rank,)) for rank in range(workers)]
    for worker in crew:
        worker.daemon = True
        worker.start()
    for worker in crew:
        worker.join()
    if span.isnan().any():
        raise RuntimeError("a worker failed")
    took = span[..., 1].amax(dim=2) - span[..., 0].amin(dim=2)
    return [
        Timing(
            rounds=(took[:, k] / plan.calls * 1e9).tolist(),
            calls=plan.tried + ROUNDS * workers * plan.calls,
        )
        for k, plan in enumerate(plans)
    ]


@dataclass(frozen=True)
class _Plan:
    calls: int  # per worker and round
    tried: int  # calls made to find that out


def _plan(way: Way, seconds: float) -> _Plan:
    timer = way.timer(0)
    timer.timeit(1)  # touches memory for the first time
    calls, tried = 1, 1
    while True:
        took = timer.timeit(calls)
        tried += calls
        if took > seconds / 4:
            return _Plan(max(round(calls * seconds / took), 1), tried)
        calls *= 4
