"""What a case of the benchmark is: ours, its rivals, and what is aimed at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import quantiles

from _timing import Way


@dataclass(frozen=True)
class Goal:
    """How two times are compared, and what is aimed at.

    Attributes:
        faster: whether the ratio says how many times faster ours is, or how many times their time
            it takes.
        bound: the least ratio aimed at in the first case, the greatest in the second.
    """

    faster: bool
    bound: float | None

    def ratio(self, ours: float, theirs: float) -> float:
        """Compare two times."""
        return theirs / ours if self.faster else ours / theirs

    def spread(self, ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float]:
        """Compare the times of each round, and return the quartiles."""
        low, _, high = quantiles(map(self.ratio, ours, theirs), n=4, method="inclusive")
        return low, high

    def met(self, ratio: float) -> bool | None:
        """Return whether a ratio reaches the goal, or None if there is none."""
        if self.bound is None:
            return None
        return ratio >= self.bound if self.faster else ratio <= self.bound


def faster(bound: float | None = None) -> Goal:
    """Aim at being ``bound`` times faster."""
    return Goal(faster=True, bound=bound)


def at_most(bound: float | None = None) -> Goal:
    """Aim at taking at most ``bound`` times as long."""
    return Goal(faster=False, bound=bound)


@dataclass(frozen=True)
class Contender:
    """A way to do what a case is about.

    Attributes:
        name: short.
        way: None if it cannot be run here.
        goal: what ours aims at beside it; None for ours itself.
        lost: gives, for a number of calls, the part of them that is missing in the end.
    """

    name: str
    way: Way | None
    goal: Goal | None = None
    lost: Callable[[int], float] | None = None


@dataclass(frozen=True)
class Case:
    """Ours and its rivals, measured in turn.

    Attributes:
        what: what is done, and how often at once.
        ours: our way.
        rivals: the other ways.
        elements: in a call, by which its time is divided.
        workers: how many do it at once.
        processes: whether they are processes, or threads.
    """

    what: str
    ours: Contender
    rivals: list[Contender]
    elements: int = 1
    workers: int = 1
    processes: bool = False


def of(count: int, one: str) -> str:
    """Return "1 process", "2 processes"."""
    many = one + ("es" if one.endswith("s") else "s")
    return f"{count} {one if count == 1 else many}"
