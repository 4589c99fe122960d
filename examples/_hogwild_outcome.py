"""What hogwild_digits.py finds out about a way to share, in numbers and in a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from _screen import RACY, STYLES, console, print_table
from _workers import warn_of_shared_cores
from matplotlib.figure import Figure
from torch import Tensor

WINDOW = 200  # steps over which the drawn loss is a mean


class Step(NamedTuple):
    """When a worker made a step, with which mini-batch, and what the loss was."""

    at: float
    ticket: int
    loss: float


@dataclass(frozen=True)
class Outcome:
    """What came of training in one way.

    Attributes:
        steps: by time since the start, as the workers noted them privately.
        counted: how many steps the shared counter shows.
        entries: how often each weight was updated, as the shared ledger shows.
        samples_per_second: how many images all workers together learnt from.
        accuracy: on the test images, in the end.
        cpu_shares: what part of a core each worker had.
    """

    steps: list[Step]
    counted: int
    entries: Tensor
    samples_per_second: float
    accuracy: float
    cpu_shares: list[float]

    @property
    def made(self) -> int:
        """How many steps were made."""
        return len(self.steps)

    @property
    def missing(self) -> Tensor:
        """How many updates of each weight the ledger does not show."""
        return self.made - self.entries

    @property
    def dealt(self) -> int:
        """How many different mini-batches were dealt."""
        return len({step.ticket for step in self.steps})

    @property
    def exact(self) -> bool:
        """Whether no mini-batch was dealt twice, each step counted, and no update lost."""
        return self.dealt == self.made == self.counted and not self.missing.any()


def print_outcomes(outcomes: dict[str, Outcome], title: str) -> None:
    """Print what each lost, how fast it was, and how well it learnt."""
    headings = (
        "",
        "steps\nmade",
        "steps\ncounted",
        "dealt\ntwice",
        "updates\nexpected",
        "of them\nlost",
        "weights\nshort",
        "samples\nper s",
        "test\nright",
    )
    rows = [
        (
            name,
            f"{outcome.made:,}",
            f"{outcome.counted:,}",
            f"{outcome.made - outcome.dealt:,}",
            f"{outcome.made * len(outcome.entries) / 1e6:.1f} M",
            f"{int(outcome.missing.sum()):,}",
            f"{(outcome.missing > 0).double().mean():.1%}",
            f"{outcome.samples_per_second:,.0f}",
            f"{outcome.accuracy:.1%}",
        )
        for name, outcome in outcomes.items()
    ]
    print_table(title, headings, rows)


def show(outcomes: dict[str, Outcome], title: str) -> None:
    """Print the outcomes of the three ways, and what is to be seen in them."""
    print_outcomes(outcomes, title)
    console.print(
        "A step updates every weight; a weight is short if the ledger misses an update of it. "
        "Keeping the ledger is part of the speed. Accuracy is expected to be the same in all "
        "three ways: what differs is updates applied, steps, and survival."
    )
    racy = outcomes[RACY]
    warn_of_shared_cores(racy.cpu_shares)
    if racy.exact:
        console.print("The racy way lost nothing this time. Nothing keeps it from doing so.")


def draw(outcomes: dict[str, Outcome]) -> Figure:
    """Draw against time the loss, and the mini-batches that were dealt more than once."""
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    figure.suptitle("Handwritten digits, learnt by several workers that share one network")
    learning, dealing = figure.subplots(ncols=2)
    for name, style in STYLES.items():
        outcome = outcomes[name]
        seconds, _, losses = torch.tensor(outcome.steps, dtype=torch.float64).T
        means = losses.unfold(0, WINDOW, WINDOW).mean(dim=1)
        learning.plot(seconds[WINDOW - 1 :: WINDOW], means, **style)
        dealing.plot(seconds, repeats(outcome), **style)
    learning.set(ylabel=f"training loss, mean of {WINDOW} steps", yscale="log")
    learning.yaxis.set_major_formatter("{x:g}")
    learning.yaxis.set_minor_formatter("{x:.1g}")
    dealing.set(ylabel="mini-batches dealt again")
    for axes in (learning, dealing):
        axes.set(xlabel="seconds")
        axes.grid(alpha=0.3, which="both")
        axes.legend()
    return figure


def repeats(outcome: Outcome) -> list[int]:
    """Return, for each step, how many steps so far were made with a mini-batch dealt before."""
    seen: set[int] = set()
    counts = []
    for number, step in enumerate(outcome.steps, start=1):
        seen.add(step.ticket)
        counts.append(number - len(seen))
    return counts
