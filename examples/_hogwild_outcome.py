"""What hogwild_digits.py found out about a way of sharing, in numbers and in a picture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from _screen import COLORS, console, make_table
from matplotlib.figure import Figure
from torch import Tensor

WINDOW = 200  # steps over which the drawn loss is a mean


@dataclass(frozen=True)
class Outcome:
    """What came of training in one way.

    Attributes:
        tickets: the mini-batch of each step, as the workers noted privately.
        losses: seconds since the start and the loss then, one for each step, by time.
        counted: how many steps the shared counter shows.
        entries: how often each weight was updated, as the shared ledger shows.
        samples_per_second: how many images all workers together learnt from.
        accuracy: on the test images, in the end.
    """

    tickets: list[int]
    losses: list[tuple[float, float]]
    counted: int
    entries: Tensor
    samples_per_second: float
    accuracy: float

    @property
    def steps(self) -> int:
        """How many steps were made."""
        return len(self.tickets)

    @property
    def repeated(self) -> int:
        """How many mini-batches were dealt that had been dealt before."""
        return self.steps - len(set(self.tickets))

    @property
    def missed(self) -> int:
        """How many mini-batches were skipped."""
        return max(self.tickets) + 1 - len(set(self.tickets))

    @property
    def expected(self) -> int:
        """How many updates of single weights were made."""
        return self.steps * len(self.entries)

    @property
    def applied(self) -> int:
        """How many of them the ledger shows."""
        return int(self.entries.sum())

    @property
    def exact(self) -> bool:
        """Whether each batch was dealt once, and each step counted and in each weight."""
        dealt_once = self.repeated == 0 and self.missed == 0
        return (
            dealt_once and self.counted == self.steps and bool((self.entries == self.steps).all())
        )


def show(outcomes: dict[str, Outcome], title: str) -> None:
    """Print what each way lost, how fast it was, and how well it learnt."""
    table = make_table(
        title,
        "",
        "steps\nmade",
        "steps\ncounted",
        "dealt\ntwice",
        "updates\nmade",
        "updates\nlost",
        "weights\nshort",
        "samples\nper s",
        "test\naccuracy",
    )
    for name, outcome in outcomes.items():
        table.add_row(
            name,
            f"{outcome.steps:,}",
            f"{outcome.counted:,}",
            f"{outcome.repeated:,}",
            f"{outcome.expected:,}",
            f"{outcome.expected - outcome.applied:,}",
            f"{(outcome.entries < outcome.steps).double().mean():.1%}",
            f"{outcome.samples_per_second:,.0f}",
            f"{outcome.accuracy:.1%}",
        )
    console.print(table)


def draw(outcomes: dict[str, Outcome]) -> Figure:
    """Draw the loss against time."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, outcome in outcomes.items():
        steps = torch.tensor(outcome.losses, dtype=torch.float64)
        times, losses = steps.unfold(0, WINDOW, WINDOW).mean(dim=2).T
        axes.plot(times, losses, color=COLORS[name], label=name)
        axes.plot(times[-1], losses[-1], "o", color=COLORS[name])
    axes.set(
        title="Handwritten digits, learnt by several workers that share one network",
        xlabel="seconds",
        ylabel=f"training loss, mean of {WINDOW} steps",
        yscale="log",
        xlim=(0, None),
    )
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    return figure
