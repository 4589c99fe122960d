"""How long it takes until a mutex is had after its holder was killed, and until Ctrl-C is seen."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from rich.console import Console

import caffe2op_atomics as atomics


@dataclass(frozen=True)
class Latency:
    """Of many times, in milliseconds."""

    what: str
    times: int
    median: float
    maximum: float


def latencies(times: int) -> list[Latency]:
    """Measure each so many times."""
    return [
        _latency("From SIGKILL of the holder to the waiter's OwnerDiedError", _recovery, times),
        _latency("From SIGINT to KeyboardInterrupt in a waiting acquire()", _interrupt, times),
    ]


def _latency(what: str, once: Callable[[], float], times: int) -> Latency:
    took = [once() * 1e3 for _ in range(times)]
    return Latency(what, times, median(took), max(took))


def _hold(mutex: atomics.Mutex, held: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    mutex.acquire()
    held.set()
    time.sleep(60)


def _recovery() -> float:
    mutex = atomics.Mutex()
    context = multiprocessing.get_context("fork")
    held = context.Event()
    holder = context.Process(target=_hold, args=(mutex, held), daemon=True)
    holder.start()
    held.wait()
    killed = []

    def kill() -> None:
        time.sleep(0.02)
        killed.append(time.perf_counter())
        holder.kill()

    threading.Thread(target=kill).start()
    try:
        mutex.acquire()
    except atomics.OwnerDiedError:
        came = time.perf_counter()
    mutex.consistent()
    mutex.release()
    holder.join()
    return came - killed[0]


def _interrupt() -> float:
    mutex, done = atomics.Mutex(), threading.Event()
    held = threading.Event()

    def hold() -> None:
        with mutex:
            held.set()
            done.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    sent = []

    def interrupt() -> None:
        time.sleep(0.02)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    try:
        mutex.acquire()
    except KeyboardInterrupt:
        came = time.perf_counter()
    done.set()
    holder.join()
    return came - sent[0]


def print_latencies(measured: list[Latency]) -> None:
    """Print a line for each."""
    for each in measured:
        Console().print(
            f"{each.what}: median {each.median:.2f} ms, maximum {each.maximum:.2f} ms "
            f"of {each.times}.",
            soft_wrap=True,
        )


def as_json(measured: list[Latency]) -> list[dict[str, object]]:
    """Return them for ``json.dumps``."""
    return [asdict(each) for each in measured]
