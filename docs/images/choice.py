"""Draws choice.svg: which class is for what. Run it after a change; nothing else does.

The picture has a ground of its own, so that it can be read on a dark page, too.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

GROUND, INK = "#fafafa", "#263238"
LOCK_FREE, GUARDED, LOCKED = "#bbdefb", "#ffe0b2", "#c8e6c9"
FAMILIES = {
    LOCK_FREE: "lock-free: nobody waits",
    GUARDED: "guarded: waits at the same 16 KiB",
    LOCKED: "one lock: all wait",
}
CHOICES = [
    ("One number: steps, tickets, samples seen", "Counter", LOCK_FREE),
    ("A flag: stop, ready", "AtomicBool", LOCK_FREE),
    ("The batches of a data set", "SharedBatchSampler", LOCK_FREE),
    ("Single elements here and there", "ops.add_, ops.index_add_ ...", LOCK_FREE),
    ("A table, statistics", "GuardedTensor", GUARDED),
    ("The weights of a model", "optim.SGD, Adagrad, Adam, AdamW", GUARDED),
    ("Several things that change together", "Mutex", LOCKED),
]


def draw() -> Figure:
    """Draw a row for each choice, and what the colours mean."""
    figure = Figure(figsize=(9, 5), facecolor=GROUND)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 9), ylim=(0, 5))
    axes.axis("off")
    axes.text(0.3, 4.62, "What is shared?", size=14, weight="bold", color=INK)
    for row, (what, choice, family) in enumerate(CHOICES):
        y = 4.2 - 0.55 * row
        axes.text(0.3, y, what, size=12, va="center", color=INK)
        arrow = {"arrowstyle": "->", "color": INK}
        axes.annotate("", (5.1, y), xytext=(4.5, y), arrowprops=arrow)
        box = FancyBboxPatch((5.3, y - 0.17), 3.3, 0.34, "round,pad=0.05", fc=family, ec=INK)
        axes.add_patch(box)
        axes.text(5.4, y, choice, size=12, va="center", family="monospace", color=INK)
    for place, (family, meaning) in enumerate(FAMILIES.items()):
        x = (0.3, 3.0, 6.6)[place]
        axes.add_patch(FancyBboxPatch((x, 0.27), 0.2, 0.12, "round,pad=0.03", fc=family, ec=INK))
        axes.text(x + 0.35, 0.33, meaning, size=10, va="center", color=INK)
    return figure


if __name__ == "__main__":
    mpl.rc("svg", fonttype="none", hashsalt="choice")
    place = Path(__file__).with_suffix(".svg")
    draw().savefig(place, facecolor=GROUND, metadata={"Date": None, "Creator": None})
