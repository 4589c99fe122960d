"""What the examples print and draw with: options, progress bars, tables, pictures."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_all_start_methods
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

# The three ways to share that the examples compare, and how they are drawn: where the two exact
# ones lie on each other, both can be seen.
RACY, LOCKED, ATOMIC = "torch, racy", "torch + Lock", "atomics"
STYLES: dict[str, dict[str, Any]] = {
    LOCKED: {"label": LOCKED, "color": "#b5bac0", "linewidth": 6},
    RACY: {"label": RACY, "color": "#d1495b", "linewidth": 1.5},
    ATOMIC: {"label": ATOMIC, "color": "#2a9d8f", "linewidth": 2},
}

console = Console(highlight=False)


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that the examples share."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--workers", type=int, default=max(cores(), 2), help="default: the cores")
    made.add_argument("--start-method", choices=get_all_start_methods(), default="fork")
    made.add_argument("--out", type=Path, default=Path("out"), help="folder for what is written")
    return made


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


@contextmanager
def bar() -> Iterator[Callable[[str, float], None]]:
    """Show a progress bar, and give what sets its text and the part that is done."""
    columns = TextColumn("{task.description:<40}"), BarColumn(20), TimeElapsedColumn()
    # No thread redraws it: that could hold a lock of the console while a worker is forked.
    with Progress(*columns, console=console, auto_refresh=False) as progress:
        task = progress.add_task("", total=1.0)
        yield lambda text, part: progress.update(
            task, description=text, completed=part, refresh=True
        )


def print_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table: names on the left, numbers on the right."""
    table = Table(
        title=title,
        title_style="bold",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
    )
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", no_wrap=number == 0)
    for row in rows:
        table.add_row(*row)
    console.print(Padding(table, (1, 0), expand=False))


def save(figure: Figure, path: Path) -> None:
    """Write a picture and say where it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    console.print(f"Picture: {path}")
