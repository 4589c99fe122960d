"""The lock-free ops beside torch's racy ones, as ratios from one run.

    python benchmarks/lockfree.py [--json]

Threads update one shared tensor at the same time, each with a tensor of its own. A ratio is our
time over torch's: below 1, ours is faster, and in any case it loses nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

import caffe2op_atomics  # noqa: F401  (registers the ops)

ROUNDS = 7

_ops = torch.ops.atomics

Update = Callable[[Tensor, Tensor], object]


@dataclass(frozen=True)
class Case:
    """An update of a target, as torch does it and as we do it."""

    name: str
    target: Tensor
    other: Tensor
    torch: Update
    ours: Update


@dataclass(frozen=True)
class Result:
    """A case, measured: medians over the rounds, in nanoseconds per element of ``other``."""

    name: str
    threads: int
    torch: float
    ours: float

    @property
    def ratio(self) -> float:
        """Our time over torch's."""
        return self.ours / self.torch


def dense(dtype: torch.dtype, size: int) -> list[Case]:
    """Return additions of a whole tensor."""
    target, other = torch.zeros(size, dtype=dtype), torch.ones(size, dtype=dtype)
    kind = f"{str(dtype).removeprefix('torch.')}, {size:,}"
    return [
        Case(f"add_ {kind}", target, other, Tensor.add_, _ops.add_.default),
        Case(f"fetch_add {kind}", target, other, Tensor.add_, _ops.fetch_add.default),
    ]


def indexed(name: str, index: Tensor, rows: int, width: tuple[int, ...]) -> Case:
    """Return an addition to the indexed rows of a table."""
    source = torch.ones(len(index), *width, dtype=torch.float32 if width else torch.int64)
    target = torch.zeros(rows, *width, dtype=source.dtype)
    return Case(
        f"index_add_ {name}",
        target,
        source,
        lambda target, source: target.index_add_(0, index, source),
        lambda target, source: _ops.index_add_.default(target, 0, index, source),
    )


def cases() -> list[Case]:
    """Return everything that is compared."""
    generator = torch.Generator().manual_seed(0)
    uniform = torch.randint(0, 24_000, (4096,), generator=generator)
    # Zipf's law by its inverse distribution function: rank r with a probability like 1 / r.
    zipf = (24_000 ** torch.rand(4096, generator=generator)).long() - 1
    return [
        *dense(torch.float32, 65_536),
        *dense(torch.float32, 2**23),
        *dense(torch.int64, 65_536),
        indexed("4096 of 24,000, uniform", uniform, 24_000, ()),
        indexed("4096 of 24,000, Zipf", zipf, 24_000, ()),
        indexed("4096 x 64, uniform", uniform, 24_000, (64,)),
        indexed("4096 x 64, Zipf", zipf, 24_000, (64,)),
    ]


def seconds_per_call(update: Update, case: Case, threads: int, seconds: float) -> float:
    """Return the time of a call while all threads make calls, for some ``seconds``."""
    start = time.perf_counter()
    update(case.target, case.other)
    calls = max(int(seconds / (time.perf_counter() - start)), 1)
    barrier = threading.Barrier(threads + 1)

    cores = sorted(os.sched_getaffinity(0))

    def work(core: int) -> None:
        # Left alone, the kernel may keep the threads on one core, where they never meet.
        os.sched_setaffinity(0, {core})
        barrier.wait()
        for _ in range(calls):
            update(case.target, case.other)
        barrier.wait()

    workers = [
        threading.Thread(target=work, args=(cores[rank % len(cores)],)) for rank in range(threads)
    ]
    for worker in workers:
        worker.start()
    barrier.wait()
    start = time.perf_counter()
    barrier.wait()
    end = time.perf_counter()
    for worker in workers:
        worker.join()
    return (end - start) / calls


def measure(case: Case, threads: int, seconds: float) -> Result:
    """Measure both sides in turn, several times."""
    times: dict[str, list[float]] = {"torch": [], "ours": []}
    for _ in range(ROUNDS):
        times["torch"].append(seconds_per_call(case.torch, case, threads, seconds))
        times["ours"].append(seconds_per_call(case.ours, case, threads, seconds))
    medians = [statistics.median(times[side]) * 1e9 / case.other.numel() for side in times]
    return Result(case.name, threads, *medians)


def main() -> None:
    """Measure every case and print a table, or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=0.1, help="of each measurement")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    results = [
        measure(case, threads, arguments.seconds)
        for case in cases()
        for threads in arguments.threads
    ]
    if arguments.json:
        print(json.dumps([asdict(result) for result in results], indent=2))
        return
    table = Table(title="ns per element of what is added; torch loses updates, ours does not")
    table.add_column("", no_wrap=True)
    for heading in ("threads", "torch", "ours", "ours / torch"):
        table.add_column(heading, justify="right")
    for result in results:
        numbers = f"{result.torch:.2f}", f"{result.ours:.2f}", f"{result.ratio:.2f}"
        table.add_row(result.name, str(result.threads), *numbers)
    Console().print(table)


if __name__ == "__main__":
    main()
