"""What is for several hosts, against what torch.distributed has, as ratios from one run.

    python benchmarks/distributed.py [--json] [--plot FILE] [--only TEXT]

| what | against | at least |
|---|---|---|
| `distributed.Counter.fetch_add(1)`, `next()` | `TCPStore.add` | 0.9x its speed |
| `distributed.AtomicBool.is_set()` | `TCPStore.check` | 0.9x |
| `distributed.AtomicBool.set()` | `TCPStore.compare_set` | 0.9x |
| `Replica`, one of two hosts 3x slower: samples a second, time to 97% | DDP | 1.5x |

The store is in another process of the same host, which makes our part of a call as large as it can
be. The hosts that train are processes of this one, of one thread and a core each, as far as there
are any; both ways talk through gloo and the loopback interface. DistributedDataParallel waits for
the slower host in each step, and takes the mean of the gradients at twice the rate, which is what
the replica's sum of both hosts' steps is.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import _store_cases
from _compare import measure_all, parser_of, show
from _replica_cases import compare_replicas
from _report import Row

Section = Callable[[argparse.Namespace], Sequence[Row]]


def of_stores(options: argparse.Namespace) -> Sequence[Row]:
    """Measure the objects in a store."""
    return measure_all(_store_cases.cases(), options)


def of_replicas(options: argparse.Namespace) -> Sequence[Row]:
    """Train on two hosts."""
    return compare_replicas(rounds=5) if options.only in "training on digits" else ()


SECTIONS: Sequence[Section] = (of_stores, of_replicas)


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
