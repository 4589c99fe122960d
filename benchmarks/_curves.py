"""The cost of an update by the number of workers and by size, as a picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from _guarded_cases import dense
from _timing import measure
from matplotlib.figure import Figure

SIZES = [2**power for power in range(10, 27, 2)]
WORKERS = [1, 2, 4, 8]


@dataclass
class Curve:
    """Nanoseconds an element for the updates of all workers together."""

    xs: list[int]
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)


def curves(seconds: float) -> dict[str, Curve]:
    """Measure dense updates of several sizes, and by several processes."""
    torch.set_num_threads(1)
    by_size, by_workers = Curve(SIZES), Curve(WORKERS)
    for size in SIZES:
        _measure(by_size, size, 1, seconds)
    for workers in WORKERS:
        _measure(by_workers, 2**22, workers, seconds)
    return {"elements, 1 worker": by_size, "processes, 4 M elements": by_workers}


def _measure(curve: Curve, size: int, workers: int, seconds: float) -> None:
    case = dense(size, workers)
    ways = [case.ours.way, *(rival.way for rival in case.rivals)]
    timings = measure([way for way in ways if way], workers, workers > 1, seconds)
    ours, theirs = (timing.nanoseconds / (size * workers) for timing in timings)
    curve.ours.append(ours)
    curve.theirs.append(theirs)


def draw(measured: dict[str, Curve], path: Path) -> None:
    """Draw the curves side by side."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, (label, curve) in zip(figure.subplots(1, 2), measured.items(), strict=True):
        axes.plot(curve.xs, curve.theirs, "o--", color="#d1495b", label="add_, racy")
        axes.plot(curve.xs, curve.ours, "o-", color="#2a9d8f", label="guarded_add_, exact")
        axes.set(xlabel=label, ylabel="ns an element", yscale="log")
        axes.set_xscale("log", base=2)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.axes[1].set_xticks(WORKERS, [str(count) for count in WORKERS])
    figure.suptitle(f"A dense float32 update, torch {torch.__version__}", fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
