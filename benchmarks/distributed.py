"""What is for several hosts, against what torch.distributed has, as ratios from one run.

    python benchmarks/distributed.py [--json] [--plot FILE] [--only TEXT]

| what | against | at least |
|---|---|---|
| `distributed.Counter.fetch_add(1)`, `next()` | `TCPStore.add` | 0.9x its speed |
| `distributed.AtomicBool.is_set()` | `TCPStore.check` | 0.9x |
| `distributed.AtomicBool.set()` | `TCPStore.compare_set` | 0.9x |

The store is in another process of the same host, which makes our part of a call as large as it can
be.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import _store_cases
from _compare import measure_all, parser_of, show
from _report import Row

Section = Callable[[argparse.Namespace], Sequence[Row]]


def of_stores(options: argparse.Namespace) -> Sequence[Row]:
    """Measure the objects in a store."""
    return measure_all(_store_cases.cases(), options)


SECTIONS: Sequence[Section] = (of_stores,)


def main() -> None:
    """Measure everything, or what the options choose."""
    parser = parser_of(__doc__)
    options = parser.parse_args()
    rows = [row for section in SECTIONS for row in section(options)]
    if not rows:
        parser.error(f"no case has {options.only!r} in its name")
    show(rows, options)


if __name__ == "__main__":
    main()
