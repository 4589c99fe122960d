"""Histories of real threads, each of which an order of its calls has to explain."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from _part import ROOT, Part, Result

sys.path.insert(0, str(ROOT / "tests"))

from histories import build, explained, histories

EACH = 1000  # of a dtype, with one seed


def _search(program: Path, seconds: float, *mode: str) -> tuple[int, int, int]:
    """Return how many histories there were, of how many calls, and how many nothing explains.

    The first of those is printed.
    """
    end = time.monotonic() + seconds
    total = calls = wrong = seed = 0
    while time.monotonic() < end:
        seed += 1
        for history in histories(program, seed, EACH, *mode):
            total += 1
            calls += len(history[2])
            if not explained(*history):
                if wrong == 0 and not mode:
                    print(f"seed {seed}:", *history[:2], *history[2], sep="\n", file=sys.stderr)
                wrong += 1
    return total, calls, wrong


def run(folder: Path, seconds: float) -> Sequence[Result]:
    program = build(folder)
    total, calls, wrong = _search(program, seconds)
    of_control, _, found = _search(program, min(seconds, 20), "broken")
    return [
        Result(
            "every op on one cell, all dtypes",
            f"{total:,} histories of {calls:,} calls",
            "nothing" if wrong == 0 else f"{wrong:,} that no order explains",
            wrong == 0,
        ),
        Result(
            "control: load and store in place of fetch_add",
            f"{of_control:,} histories",
            f"{found:,} that no order explains",
            found > 0,
        ),
    ]


PART = Part(
    "histories",
    "Linearizability",
    "Threads call ops on one cell and note when each call began and ended, and what it returned. "
    "A history is right if some order of the calls, in which none is moved out of its time, gives "
    "every one of them what it returned (Herlihy and Wing, 1990; the search is that of Wing and "
    "Gong, 1993).",
    run,
    needs=[("c++", "g++")],
)
