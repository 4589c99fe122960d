"""Shows what was measured: a table for a terminal or a page, a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """Ours against one rival. What could not be measured is None.

    Attributes:
        what: what is done.
        against: the rival.
        unit: what the times are of, "element" or "call".
        ours: our time, in nanoseconds.
        theirs: the rival's.
        faster: whether ``ratio`` is their time over ours, or ours over theirs.
        ratio: the two times compared.
        spread: the quartiles of the ratios of the rounds.
        target: the least ratio aimed at if ``faster``, the greatest if not; None if there is none.
        met: whether it was reached, and ours lost nothing.
        lost: the part of all updates that ours lost, where that was counted.
        theirs_lost: the part that the rival lost.
        note: why something was not measured.
    """

    what: str
    against: str
    unit: str
    ours: float
    theirs: float | None
    faster: bool
    ratio: float | None
    spread: tuple[float, float] | None
    target: float | None
    met: bool | None
    lost: float | None
    theirs_lost: float | None
    note: str


def print_table(rows: Sequence[Row]) -> None:
    """Print a table for a terminal: under each of ours, the rivals."""
    table = Table(
        title=f"ns per element or call, torch {torch.__version__}",
        box=box.SIMPLE_HEAD,
        padding=(0, 0, 0, 1),
        show_edge=False,
    )
    for number, heading in enumerate(("", "ns", "ours is", "quartiles", "target", "", "lost")):
        table.add_column(heading, justify="right" if number else "left", no_wrap=True)
    before = ""
    for row in rows:
        if row.what != before:
            table.add_row(
                f"[bold]{row.what}[/]", _number(row.ours), "", "", "", "", _part(row.lost)
            )
        table.add_row(
            f"  {row.against}",
            row.note if row.theirs is None else _number(row.theirs),
            "" if row.ratio is None else _ratio(row.ratio, row.faster),
            "" if row.spread is None else "{:.2f}-{:.2f}".format(*row.spread),
            _target(row),
            {True: "[green]✓[/]", False: "[red]✗[/]", None: ""}[row.met],
            _part(row.theirs_lost),
        )
        before = row.what
    Console().print(table)


def markdown(rows: Sequence[Row]) -> str:
    """Return a table for a page, without the columns in which nothing is."""
    columns: dict[str, list[str]] = {
        "what": [],
        "ours": [],
        "against": [row.against for row in rows],
        "theirs": [row.note if row.theirs is None else _time(row.theirs) for row in rows],
        "ours is": ["" if row.ratio is None else _ratio(row.ratio, row.faster) for row in rows],
        "quartiles": [
            "" if row.spread is None else "{:.2f} to {:.2f}".format(*row.spread) for row in rows
        ],
        "target": [_target(row) + ", missed" * (row.met is False) for row in rows],
        "lost, ours / theirs": [
            "" if row.lost is None else f"{_part(row.lost)} / {_part(row.theirs_lost)}"
            for row in rows
        ],
    }
    before = ""
    for row in rows:
        again = row.what == before
        columns["what"].append("" if again else row.what)
        columns["ours"].append("" if again else _time(row.ours))
        before = row.what
    return markdown_table({heading: cells for heading, cells in columns.items() if any(cells)})


def markdown_table(columns: Mapping[str, Sequence[str]]) -> str:
    """Return a table of columns that are as long as each other."""
    lines = [columns.keys(), ["---"] * len(columns), *zip(*columns.values(), strict=True)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def plot(rows: Sequence[Row], path: Path) -> None:
    """Draw how much faster ours is, on one scale for all rows, with the targets marked."""
    drawn = [row for row in rows if row.ratio is not None]
    figure = Figure(figsize=(9, 1.2 + 0.24 * len(drawn)), layout="constrained")
    axes = figure.subplots()
    colors = {True: "#2a9d8f", False: "#d1495b", None: "#b5bac0"}
    for at, row in enumerate(drawn):
        speed = _speed(row.ratio or 1.0, row.faster)
        axes.barh(at, speed - 1, left=1, color=colors[row.met], height=0.7)
        axes.text(
            1.01,
            at,
            _ratio(row.ratio or 1.0, row.faster),
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=7,
        )
        if row.target is not None:
            goal = _speed(row.target, row.faster)
            axes.plot([goal, goal], [at - 0.45, at + 0.45], color="black", linewidth=2)
    axes.axvline(1, color="black", linewidth=0.5)
    axes.set_xscale("log")
    axes.margins(x=0.12, y=0.01)
    axes.set_yticks(range(len(drawn)), [f"{row.what}  |  {row.against}" for row in drawn])
    axes.tick_params(axis="y", labelsize=7, length=0)
    axes.invert_yaxis()
    ticks = [tick for tick in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if _within(tick, axes)]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("their time / ours (right of 1, ours is faster)", fontsize=8)
    axes.tick_params(axis="x", labelsize=7)
    figure.suptitle(
        f"atomics | against, torch {torch.__version__}. "
        "Black: target. Green: met, red: missed, grey: none.",
        fontsize=9,
    )
    axes.spines[["top", "right", "left"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def _within(tick: float, axes: Any) -> bool:
    low, high = axes.get_xlim()
    return low <= tick <= high


def _speed(ratio: float, faster: bool) -> float:
    return ratio if faster else 1 / ratio


def _ratio(ratio: float, faster: bool) -> str:
    return f"{ratio:.2f}x speed" if faster else f"{ratio:.2f}x time"


def _target(row: Row) -> str:
    return "" if row.target is None else f"{'≥' if row.faster else '≤'} {row.target:g}x"


def _part(lost: float | None) -> str:
    if lost is None:
        return ""
    return "0" if lost == 0 else f"{lost:.1%}"


def _time(nanoseconds: float) -> str:
    for unit, size in (("ns", 1), ("us", 1e3), ("ms", 1e6)):
        if nanoseconds < 999.5 * size:
            return f"{_number(nanoseconds / size)} {unit}"
    return f"{_number(nanoseconds / 1e9)} s"


def _number(nanoseconds: float) -> str:
    return f"{nanoseconds:,.0f}" if nanoseconds >= 99.5 else f"{nanoseconds:#.3g}"
