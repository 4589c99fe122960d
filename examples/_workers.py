"""Workers that start together, processes or threads, and what they report."""

from __future__ import annotations

import multiprocessing.dummy
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
import torch.multiprocessing as mp
from _screen import bar, console

Result = TypeVar("Result")

THREADS = "threads"  # beside the start methods of multiprocessing
PATIENCE = 300.0  # seconds after which workers that do not end are given up


@dataclass(frozen=True)
class Report(Generic[Result]):
    """What a worker returned, and the time it took.

    Attributes:
        result: what it returned.
        began: when it started, on a clock that all processes share.
        ended: when it was done.
        cpu: seconds of a core that it used in between.
    """

    result: Result
    began: float
    ended: float
    cpu: float

    @property
    def cpu_share(self) -> float:
        """The part of its time in which the worker had a core."""
        return self.cpu / (self.ended - self.began)


def seconds(reports: Sequence[Report[Any]]) -> float:
    """Return the time from the first worker's start to the last one's end."""
    began = min(report.began for report in reports)
    return max(report.ended for report in reports) - began


def warn_of_shared_cores(racy: Sequence[float]) -> None:
    """Say so if the workers of the racy way, who never wait, had less than a core each."""
    if sum(racy) < 0.75 * len(racy):
        console.print(
            f"The {len(racy)} racy workers had {sum(racy):.2f} cores in all, so they met less "
            "often than with a core each."
        )


def context_of(start_method: str) -> Any:
    """Return what makes workers, barriers and locks; for threads too, under the same names."""
    return multiprocessing.dummy if start_method == THREADS else mp.get_context(start_method)


def run_workers(
    work: Callable[..., Result],
    args: tuple[object, ...],
    workers: int,
    start_method: str,
    progress: Callable[[], tuple[str, float]],
    stop: Callable[[], object] = lambda: None,
) -> list[Report[Result]]:
    """Run ``work(rank, *args)`` in all workers at once and return their reports by rank.

    Args:
        work: what each worker does: a function of a module.
        args: sent to every worker.
        workers: how many.
        start_method: a start method of multiprocessing, or ``THREADS``.
        progress: gives the text of a progress bar and what part is done; called all the time.
        stop: called at the end, come what may: threads that still run can only be asked to end.

    Raises:
        RuntimeError: if a worker dies.
        TimeoutError: if the workers take longer than ``PATIENCE``.
    """
    context = context_of(start_method)
    barrier, inbox = context.Barrier(workers), context.Queue()
    crew = [
        context.Process(target=_work, args=(rank, work, args, barrier, inbox))
        for rank in range(workers)
    ]
    reports: dict[int, Report[Result]] = {}
    deadline = time.monotonic() + PATIENCE
    with bar() as show, ending(crew, stop):
        for worker in crew:
            worker.start()
        while len(reports) < workers:
            show(*progress())
            reports.update(_receive(inbox, [w for r, w in enumerate(crew) if r not in reports]))
            if time.monotonic() > deadline:
                raise TimeoutError(f"the workers did not end in {PATIENCE:.0f} s")
        show(progress()[0], 1.0)
    return [reports[rank] for rank in range(workers)]


@contextmanager
def ending(crew: Sequence[Any], stop: Callable[[], object] = lambda: None) -> Iterator[None]:
    """At the end call ``stop``, kill the workers that still run, and wait until they are gone."""
    for worker in crew:
        worker.daemon = True
    try:
        yield
    finally:
        stop()
        started = [worker for worker in crew if worker.ident is not None]
        for worker in started:
            if not isinstance(worker, threading.Thread):
                worker.kill()
        for worker in started:
            worker.join(timeout=2)


def settle() -> None:
    """Prepare a process or thread to be a worker. The first thing that one does."""
    torch.set_num_threads(1)  # in a forked child, torch's own threads hang
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, who ends us


def _work(
    rank: int, work: Callable[..., Any], args: tuple[object, ...], barrier: Any, inbox: Any
) -> None:
    settle()
    # Left alone, the kernel often keeps forked workers on one core, where they seldom meet.
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[rank % len(cores)]})
    barrier.wait(timeout=60)
    began, cpu = time.perf_counter(), time.thread_time()
    result = work(rank, *args)
    cpu = time.thread_time() - cpu
    inbox.put((rank, Report(result, began, time.perf_counter(), cpu)))


def _receive(inbox: Any, awaited: Sequence[Any]) -> dict[int, Report[Any]]:
    dead = [worker for worker in awaited if not worker.is_alive()]  # asked before the look
    try:
        rank, report = inbox.get(timeout=0.1)
    except queue.Empty:
        if dead:
            codes = [worker.exitcode for worker in dead]
            raise RuntimeError(f"workers died, with the exit codes {codes}") from None
        return {}
    return {rank: report}
