"""Keep one running mean and variance from several processes, racy and under a Mutex.

Mean, variance and count only make sense together. The usual code, on shared tensors, loses whole
batches and mixes what is left; the same code as one unit under a Mutex is exact.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NamedTuple

import torch
from _screen import ATOMIC, RACY, console, parser, print_table
from _workers import Report, run_workers, warn_of_shared_cores
from sklearn.datasets import load_digits
from torch import Tensor

import caffe2op_atomics as atomics

BATCH = 16


class RunningMeanStd:
    """The mean and variance of all rows seen, with the arithmetic of gymnasium's class."""

    def __init__(self, columns: int) -> None:
        self.mean = torch.zeros(columns, dtype=torch.float64).share_memory_()
        self.var = torch.zeros_like(self.mean).share_memory_()
        self.count = torch.zeros((), dtype=torch.float64).share_memory_()

    def update(self, batch: Tensor) -> None:
        """Take a batch in."""
        self.update_from_moments(batch.mean(dim=0), batch.var(dim=0, correction=0), len(batch))

    def update_from_moments(self, mean: Tensor, var: Tensor, count: int) -> None:
        """Take in a batch of which these are known: the parallel algorithm of Chan et al."""
        total = self.count + count
        delta = mean - self.mean
        squares = self.var * self.count + var * count + delta**2 * self.count * count / total
        self.mean.copy_(self.mean + delta * count / total)
        self.var.copy_(squares / total)
        self.count.copy_(total)


class GuardedMeanStd(RunningMeanStd):
    """The same as one unit. Who reads it while others update has to take the mutex, too."""

    def __init__(self, columns: int) -> None:
        super().__init__(columns)
        self.mutex = atomics.Mutex()  # raises after the death of a worker who held it

    def update_from_moments(self, mean: Tensor, var: Tensor, count: int) -> None:
        """Take in a batch while nobody else does."""
        with self.mutex:
            super().update_from_moments(mean, var, count)


WAYS: dict[str, type[RunningMeanStd]] = {RACY: RunningMeanStd, ATOMIC: GuardedMeanStd}


class Outcome(NamedTuple):
    """What became of the batches, and by how much mean and std are wrong, in true stds."""

    batches: int
    kept: float
    mean_error: float
    std_error: float
    reports: list[Report[None]]

    @property
    def exact(self) -> bool:
        """Whether every batch was kept, and at most the last digits are wrong."""
        return self.kept == self.batches and max(self.mean_error, self.std_error) < 1e-9


def update_share(
    rank: int,
    stats: RunningMeanStd,
    rows: Tensor,
    passed: atomics.Counter,
    options: argparse.Namespace,
) -> None:
    """Take in this worker's share of the rows, again and again."""
    batches = rows.split(BATCH)[rank :: options.workers]
    for _ in range(options.passes):
        for batch in batches:
            stats.update(batch)
        passed += 1


def update_one_way(name: str, rows: Tensor, options: argparse.Namespace) -> Outcome:
    """Have all workers update new statistics, and compare these with the truth."""
    stats, passed = WAYS[name](rows.shape[1]), atomics.Counter()
    reports = run_workers(
        update_share,
        (stats, rows, passed, options),
        options.workers,
        options.start_method,
        progress=lambda: (name, passed.value / (options.workers * options.passes)),
    )
    std = rows.std(dim=0, correction=0)
    return Outcome(
        batches=options.passes * len(rows) // BATCH,
        kept=stats.count.item() / BATCH,
        mean_error=((stats.mean - rows.mean(dim=0)) / std).abs().max().item(),
        std_error=(stats.var.sqrt() / std - 1).abs().max().item(),
        reports=reports,
    )


def show(outcomes: dict[str, Outcome], title: str) -> None:
    """Print what each way kept, and how wrong it is."""
    headings = ("", "batches", "of them\nlost", "mean wrong\nby up to", "std wrong\nby up to")
    rows = [
        (
            name,
            f"{outcome.batches:,}",
            f"{outcome.batches - outcome.kept:,.0f}",
            f"{outcome.mean_error:.1%}",
            f"{outcome.std_error:.1%}",
        )
        for name, outcome in outcomes.items()
    ]
    print_table(title, headings, rows)
    console.print("The errors are those of the worst pixel, as parts of its true std.")
    racy = outcomes[RACY]
    warn_of_shared_cores([report.cpu_share for report in racy.reports])
    if racy.exact:
        console.print("The racy way lost nothing this time. Nothing keeps it from doing so.")


def main(argv: Sequence[str] | None = None) -> int:
    """Update in both ways, and return 0 if the one under the Mutex is exact."""
    arguments = parser(__doc__)
    arguments.add_argument("--passes", type=int, default=200, help="times that all is taken in")
    options = arguments.parse_args(argv)

    rows = torch.tensor(load_digits().data)
    rows = rows[: len(rows) // BATCH * BATCH, rows.std(dim=0) > 0].clone().share_memory_()
    outcomes = {name: update_one_way(name, rows, options) for name in WAYS}
    scale = f"{len(rows):,} handwritten digits of {rows.shape[1]} pixels"
    show(outcomes, f"{scale}, {options.passes} times, by {options.workers} processes")
    return int(not outcomes[ATOMIC].exact)


if __name__ == "__main__":
    raise SystemExit(main())
