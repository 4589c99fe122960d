"""Runs the cases of a benchmark: measures, compares, prints a table, draws a picture."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from _contest import Case
from _report import Row, markdown, plot, print_table
from _timing import measure
from rich.console import Console


def compare(case: Case, seconds: float) -> Iterator[Row]:
    """Measure ours and its rivals in turn, and give a row for each rival."""
    contenders = [case.ours, *case.rivals]
    here = [contender for contender in contenders if contender.way is not None]
    ways = [contender.way for contender in here if contender.way is not None]
    timings = measure(ways, case.workers, case.processes, seconds)
    times, rounds, lost = {}, {}, {}
    for contender, timing in zip(here, timings, strict=True):
        times[contender.name] = timing.nanoseconds / case.elements
        rounds[contender.name] = timing.rounds
        if contender.lost is not None:
            lost[contender.name] = contender.lost(timing.calls)
    ours, our_loss = times[case.ours.name], lost.get(case.ours.name)
    for rival in case.rivals:
        theirs, goal = times.get(rival.name), rival.goal
        assert goal is not None
        ratio = None if theirs is None else goal.ratio(ours, theirs)
        names = case.ours.name, rival.name
        met = None if ratio is None else goal.met(ratio)
        yield Row(
            what=case.what,
            against=rival.name,
            unit="call" if case.elements == 1 else "element",
            ours=ours,
            theirs=theirs,
            faster=goal.faster,
            ratio=ratio,
            spread=None if theirs is None else goal.spread(*(rounds[name] for name in names)),
            target=goal.bound,
            met=met and not our_loss,
            lost=our_loss,
            theirs_lost=lost.get(rival.name),
            note="" if theirs is not None else "not installed",
        )


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """Return the options of every benchmark."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=0.1, help="of each measurement")
    parser.add_argument("--only", default="", help="the cases whose name contains this")
    add_forms(parser)
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw a picture, too")
    return parser


def add_forms(parser: argparse.ArgumentParser) -> None:
    """Add the options for what to print instead of a table for a terminal."""
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="print JSON instead of a table")
    forms.add_argument("--markdown", action="store_true", help="print what run.py puts on a page")


def run(cases: Iterable[Case], description: str | None) -> None:
    """Measure every case that the options choose."""
    parser = parser_of(description)
    options = parser.parse_args()
    rows = measure_all(cases, options)
    if not rows:
        parser.error(f"no case has {options.only!r} in its name")
    show(rows, options)


def measure_all(cases: Iterable[Case], options: argparse.Namespace) -> list[Row]:
    """Measure the chosen cases, each made when its turn comes."""
    torch.set_num_threads(1)
    rows: list[Row] = []
    with Console(stderr=True).status("") as status:
        for case in cases:
            if options.only in case.what:
                status.update(case.what)
                rows += compare(case, options.seconds)
    return rows


def show(rows: list[Row], options: argparse.Namespace, **more: object) -> None:
    """Print the rows, and ``more`` in JSON, and draw them if that was asked for."""
    if options.json:
        machine = {
            "torch": torch.__version__,
            "vectors": torch.backends.cpu.get_cpu_capability(),
            "cores": len(os.sched_getaffinity(0)),
        }
        print(json.dumps({**machine, "rows": [asdict(row) for row in rows], **more}, indent=2))
    elif options.markdown:
        print(markdown(rows))
    else:
        print_table(rows)
    if options.plot is not None:
        plot(rows, options.plot)
