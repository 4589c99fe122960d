"""The lock-free ops against what one would write instead, as ratios from one run.

    python benchmarks/lockfree.py [--json] [--plot FILE] [--only TEXT]

| what | against | aimed at |
|---|---|---|
| dense `add_` float32: 64 K; 16 M with 1 and 2 threads | a loop over `std::atomic_ref<float>` \
(per_element.cpp) | 3x; 2.5x faster |
| dense `add_` bfloat16: 64 K; 16 M | a compare-and-swap per element | 5x; 3x faster, 4x with AVX2 |
| `fetch_add` int32, 64 K | an atomic addition per element that stores the old value | 3x faster |
| `fetch_add.default`, held, 0-dim | `x.add_(one)` | at most 1.6x its time; 2x from torch 2.14 on |
| `fetch_add.int`, held, 0-dim | `x.add_(one)` | at most 1.25x; 1.5x from torch 2.14 on |
| `Counter.next()` | an mp.Value under its lock | 10x faster |
| `Counter.next()` | PyPI's cereggii and atomicx, which processes cannot share | faster |
| `index_add_` of 4096 rows of 64, uniform, Zipf | `torch.index_add_`, racy | at most 1.8x |
| | `index_put_(accumulate=True)` | no slower |
| `index_add_` int64 in 2 processes, batches of 4096, Zipf | `torch.index_add_`, racy | no slower |

The rows without a target are there to compare. Both sides are measured in turn, several times, and
the medians compared; torch uses one thread, every worker has a core of its own.

Not reached, and why, on one machine of two cores (AMD EPYC, Zen 4, virtual), whose numbers are in
docs/speed.md:

- Dense float32 and int32, 64 K: 2.5x to 2.9x. A locked ``cmpxchg16b`` on a line in the cache takes
  4.0 ns and nothing overlaps with it, a 4-byte one 2.8 ns and a ``lock xadd`` 2.9: four of those to
  one is 2.9x, and the loop, in which objdump shows no store but the swaps, is within 2% of the bare
  instruction.
- bfloat16, 64 K: 4.8x. Of 0.58 ns an element 0.50 are the swap and 0.04 the call from Python.
- ``fetch_add.default`` and ``.int``: perf finds a tenth of the time of a call in this library. The
  rest is torch's way from Python to any op that is not a method of Tensor: its own
  ``torch.ops.aten.add.Tensor`` takes a fifth longer than ``fetch_add.default``.
- Met in most runs: uniform rows of 64 float32, 1.6x to 2.0x (16 swaps are 64 ns of 107 ns a row,
  torch's racy row takes 53 to 83 ns), and 4096 int64 in two processes, 0.84x to 1.04x.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from _cases import cases
from _contest import Case
from _per_element import build
from _report import Row, plot, print_table
from _timing import measure
from rich.console import Console


def compare(case: Case, seconds: float) -> Iterator[Row]:
    """Measure ours and its rivals in turn, and give a row for each rival."""
    contenders = [case.ours, *case.rivals]
    here = [contender for contender in contenders if contender.way is not None]
    ways = [contender.way for contender in here if contender.way is not None]
    timings = measure(ways, case.workers, case.processes, seconds)
    times, lost = {}, {}
    for contender, timing in zip(here, timings, strict=True):
        times[contender.name] = timing.nanoseconds / case.elements
        if contender.lost is not None:
            lost[contender.name] = contender.lost(timing.calls)
    ours, our_loss = times[case.ours.name], lost.get(case.ours.name)
    for rival in case.rivals:
        theirs, goal = times.get(rival.name), rival.goal
        assert goal is not None
        ratio = None if theirs is None else goal.ratio(ours, theirs)
        met = None if ratio is None else goal.met(ratio)
        yield Row(
            what=case.what,
            against=rival.name,
            unit="call" if case.elements == 1 else "element",
            ours=ours,
            theirs=theirs,
            faster=goal.faster,
            ratio=ratio,
            target=goal.bound,
            met=met and not our_loss,
            lost=our_loss,
            theirs_lost=lost.get(rival.name),
            note="" if theirs is not None else "not installed",
        )


def main() -> None:
    """Measure every case and print a table, or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=0.1, help="of each measurement")
    parser.add_argument("--only", default="", help="the cases whose name contains this")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw a picture, too")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    rows: list[Row] = []
    with Console(stderr=True).status("") as status:
        for case in cases(build()):
            if arguments.only in case.what:
                status.update(case.what)
                rows += compare(case, arguments.seconds)
    if not rows:
        parser.error(f"no case has {arguments.only!r} in its name")
    if arguments.json:
        machine = {
            "torch": torch.__version__,
            "vectors": torch.backends.cpu.get_cpu_capability(),
            "cores": len(os.sched_getaffinity(0)),
        }
        print(json.dumps({**machine, "rows": [asdict(row) for row in rows]}, indent=2))
    else:
        print_table(rows)
    if arguments.plot is not None:
        plot(rows, arguments.plot)


if __name__ == "__main__":
    main()
