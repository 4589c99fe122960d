"""Count the words of Python's standard library from several processes at once, three ways.

All workers count into one shared table. What it holds in the end is compared with the truth.
"""

from __future__ import annotations

import argparse
import re
import sysconfig
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Lock
from pathlib import Path
from typing import TypeAlias

import torch
from _screen import ATOMIC, LOCKED, RACY, STYLES, console, parser, print_table, save
from _workers import Report, context_of, run_workers, seconds, warn_of_shared_cores
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from torch import Tensor

import caffe2op_atomics as atomics

BATCH = 4096
TOP = 10
NAMED = 4  # words in the picture

Count: TypeAlias = Callable[[atomics.GuardedTensor, Tensor, Tensor, Lock], object]


def count_racy(table: atomics.GuardedTensor, tokens: Tensor, ones: Tensor, lock: Lock) -> None:
    """Count a batch with torch alone."""
    table.tensor.index_add_(0, tokens, ones)


def count_locked(table: atomics.GuardedTensor, tokens: Tensor, ones: Tensor, lock: Lock) -> None:
    """Count a batch with torch, while nobody else does."""
    with lock:
        table.tensor.index_add_(0, tokens, ones)


def count_guarded(table: atomics.GuardedTensor, tokens: Tensor, ones: Tensor, lock: Lock) -> None:
    """Count a batch under the locks of the parts of the table that it touches."""
    table.index_add_(0, tokens, ones)


WAYS: dict[str, Count] = {
    RACY: count_racy,
    LOCKED: count_locked,
    ATOMIC: count_guarded,
}


@dataclass(frozen=True)
class Outcome:
    """What one way counted, the truth, both by rank of the word, and the workers' reports."""

    counted: Tensor
    truth: Tensor
    reports: list[Report[None]]

    def lost(self, top: int | None = None) -> int:
        """Return how many words are missing, of all or of the ``top`` most frequent."""
        return int((self.truth - self.counted)[:top].sum())

    def lost_share(self, top: int | None = None) -> float:
        """Return what part of the words is missing."""
        return self.lost(top) / int(self.truth[:top].sum())

    def words_per_second(self) -> float:
        """Return the speed of all workers together."""
        return int(self.truth.sum()) / seconds(self.reports)


def read_words() -> list[str]:
    """Return all words of the top-level modules of the standard library."""
    library = Path(sysconfig.get_path("stdlib"))
    texts = (path.read_text("utf-8", errors="replace") for path in sorted(library.glob("*.py")))
    return [word for text in texts for word in re.findall(r"\w+", text.lower())]


def count_share(
    rank: int,
    count: Count,
    table: atomics.GuardedTensor,
    tokens: Tensor,
    lock: Lock,
    passed: atomics.Counter,
    options: argparse.Namespace,
) -> None:
    """Count this worker's share of the tokens, again and again."""
    batches = tokens.split(BATCH)[rank :: options.workers]
    ones = torch.ones(BATCH, dtype=table.dtype)
    for _ in range(options.passes):
        for batch in batches:
            count(table, batch, ones[: len(batch)], lock)
        passed += 1


def count_one_way(name: str, tokens: Tensor, truth: Tensor, options: argparse.Namespace) -> Outcome:
    """Have all workers count into one new table."""
    table = atomics.GuardedTensor(torch.zeros_like(truth))
    lock = context_of(options.start_method).Lock()
    passed = atomics.Counter()
    reports = run_workers(
        count_share,
        (WAYS[name], table, tokens, lock, passed, options),
        options.workers,
        options.start_method,
        progress=lambda: (name, passed.value / (options.workers * options.passes)),
    )
    return Outcome(table.snapshot(), truth, reports)


def show(outcomes: dict[str, Outcome], title: str) -> None:
    """Print what each way lost, and how fast it was."""
    most_frequent = f"of the {TOP}\nmost frequent"
    headings = ("", "words lost", "of all", most_frequent, "words/s", "CPU shares")
    rows = [
        (
            name,
            f"{outcome.lost():,}",
            f"{outcome.lost_share():.1%}",
            f"{outcome.lost_share(TOP):.1%}",
            f"{outcome.words_per_second() / 1e6:,.0f} M",
            " ".join(f"{report.cpu_share:.0%}" for report in outcome.reports),
        )
        for name, outcome in outcomes.items()
    ]
    print_table(title, headings, rows)

    racy = outcomes[RACY]
    warn_of_shared_cores([report.cpu_share for report in racy.reports])
    if racy.lost() == 0:
        console.print("The racy way lost nothing this time. Nothing keeps it from doing so.")
    speed = racy.words_per_second()
    faster = [name for name in (LOCKED, ATOMIC) if outcomes[name].words_per_second() > speed]
    if faster:
        console.print(f"Exact and yet faster than racy: {', '.join(faster)}.")


def draw(outcomes: dict[str, Outcome], frequent: Sequence[str]) -> Figure:
    """Draw how much of each word was counted, and name the most frequent ones."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    shares = {name: outcome.counted / outcome.truth for name, outcome in outcomes.items()}
    for name, style in STYLES.items():
        ranks = torch.arange(1, len(shares[name]) + 1)
        axes.plot(ranks, shares[name], "." if name == RACY else "-", markersize=4, **style)
    for rank, word in enumerate(frequent, start=1):
        place = rank, float(shares[RACY][rank - 1])
        axes.annotate(word, place, xytext=(0, -11), textcoords="offset points", ha="center")
    axes.set(
        title="How much of each word of Python's standard library was counted",
        xlabel="rank of the word, the most frequent first",
        ylabel="counted / true",
        xscale="log",
    )
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.margins(y=0.15)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    return figure


def main(argv: Sequence[str] | None = None) -> int:
    """Count three ways, and return 0 if this package lost nothing."""
    arguments = parser(__doc__)
    arguments.add_argument("--passes", type=int, default=800, help="times that all is counted")
    options = arguments.parse_args(argv)

    words = read_words()
    frequencies = Counter(words).most_common()
    tokens_of = {word: rank for rank, (word, _) in enumerate(frequencies)}
    tokens = torch.tensor([tokens_of[word] for word in words]).share_memory_()
    truth = options.passes * torch.tensor([frequency for _, frequency in frequencies])

    outcomes = {name: count_one_way(name, tokens, truth, options) for name in WAYS}
    scale = f"{len(words):,} words, {len(frequencies):,} distinct"
    show(outcomes, f"{scale}, {options.passes} times, by {options.workers} processes")
    named = [word for word, _ in frequencies[:NAMED]]
    save(draw(outcomes, named), options.out / "words.png")
    return int(not torch.equal(outcomes[ATOMIC].counted, truth))


if __name__ == "__main__":
    raise SystemExit(main())
