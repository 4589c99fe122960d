"""How many updates the usual ways of counting in shared memory lose, beside ours, from one run.

    python benchmarks/usual_ways.py [--workers N [N ...]] [--json | --markdown]

Every way is called from several processes at once; see check_lost_updates. A loss depends on the
machine and on luck: it is measured here, nowhere promised.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from _compare import add_forms
from _report import markdown_table
from rich.console import Console
from rich.table import Table

import caffe2op_atomics as atomics


def value_increment(value: Any) -> None:
    """Add 1 to a multiprocessing.Value, the way its name invites to."""
    value.value += 1


def locked_value_increment(value: Any) -> None:
    """Add 1 to a multiprocessing.Value under its lock."""
    with value.get_lock():
        value.value += 1


def tensor_increment(cell: torch.Tensor) -> None:
    """Add 1 to an element of a shared tensor."""
    cell[0] += 1


def item_increment(cell: torch.Tensor) -> None:
    """Read an element, add 1 in Python, write it back."""
    cell[0] = cell[0].item() + 1


def counter_increment(counter: atomics.Counter) -> None:
    """Add 1 to our counter."""
    counter += 1


def op_increment(cell: torch.Tensor) -> None:
    """Add 1 to an element of a shared tensor, atomically."""
    torch.ops.atomics.add_.int(cell, 1)


def packet_increment(cell: torch.Tensor) -> None:
    """Do the same, and leave torch to find the overload."""
    torch.ops.atomics.add_(cell, 1)


@dataclass(frozen=True)
class Way:
    """A way to count: what a user writes, the function, and what it counts in."""

    code: str
    update: Callable[[Any], None]
    make: Callable[[], Any]


@dataclass(frozen=True)
class Result:
    """One way, measured."""

    code: str
    workers: int
    updates: int
    lost: float
    nanoseconds: float  # per call in one process


def cell() -> torch.Tensor:
    """Return an int64 of shape [1]."""
    return torch.zeros(1, dtype=torch.int64)


WAYS = [
    Way("v.value += 1", value_increment, lambda: multiprocessing.Value("q")),
    Way("t[0] += 1", tensor_increment, cell),
    Way("t[0] = t[0].item() + 1", item_increment, cell),
    Way(
        "with v.get_lock(): ...",
        locked_value_increment,
        lambda: multiprocessing.Value("q"),
    ),
    Way("counter += 1", counter_increment, atomics.Counter),
    Way("ops.atomics.add_.int(t, 1)", op_increment, cell),
    Way("ops.atomics.add_(t, 1)", packet_increment, cell),
]


NAMES = "v: multiprocessing.Value, t: shared tensor, counter: atomics.Counter."


def measure(way: Way, workers: int, calls: int) -> Result:
    """Count with ``workers`` processes, and time a call alone."""
    report = atomics.check_lost_updates(way.update, way.make(), workers=workers, calls=calls)
    target = way.make()
    start = time.perf_counter()
    for _ in range(calls):
        way.update(target)
    nanoseconds = (time.perf_counter() - start) / calls * 1e9
    return Result(way.code, workers, report.updates, report.lost, nanoseconds)


def main() -> None:
    """Measure every way and print a table, or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--calls", type=int, default=100_000, help="per worker")
    add_forms(parser)
    arguments = parser.parse_args()

    results = [measure(way, n, arguments.calls) for way in WAYS for n in arguments.workers]
    if arguments.json:
        print(json.dumps([asdict(result) for result in results], indent=2))
        return
    columns = columns_of(results)
    notes = f"{arguments.calls:,} updates by each worker, {os.cpu_count()} cores. {NAMES}"
    if arguments.markdown:
        columns["way"] = [f"`{code}`" for code in columns["way"]]
        print(f"{markdown_table(columns)}\n{notes}")
        return
    table = Table(caption=notes)
    for heading in columns:
        table.add_column(heading, justify="left" if heading == "way" else "right", no_wrap=True)
    for row in zip(*columns.values(), strict=True):
        table.add_row(*row)
    Console().print(table)


def columns_of(results: Sequence[Result]) -> dict[str, list[str]]:
    """Return a table: a row for each way, a column for each number of workers."""
    columns = {"way": list(dict.fromkeys(result.code for result in results))}
    for workers in dict.fromkeys(result.workers for result in results):
        mine = [result for result in results if result.workers == workers]
        columns[f"lost by {workers}"] = [
            f"{each.lost:,.0f} ({each.lost / each.updates:.2%})" for each in mine
        ]
    columns["ns, alone"] = [
        f"{min(each.nanoseconds for each in results if each.code == code):,.0f}"
        for code in columns["way"]
    ]
    return columns


if __name__ == "__main__":
    main()
