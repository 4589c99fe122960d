"""Mutex and AtomicBool against the standard library's, as ratios from one run.

    python benchmarks/locks.py [--json | --markdown] [--plot FILE] [--only TEXT]

| what | against | at least |
|---|---|---|
| `with Mutex`, nobody else | `with multiprocessing.Lock` | 1x its speed |
| the same mutex from 2 processes | `with multiprocessing.Lock` | 0.8x |
| `AtomicBool.is_set()` | `multiprocessing.Event.is_set()` | 5x |

And in milliseconds, median and maximum: from the SIGKILL of a holder to the next one's
OwnerDiedError (a `multiprocessing.Lock` is never had again), and from Ctrl-C to KeyboardInterrupt.
"""

from __future__ import annotations

from _compare import measure_all, parser_of, show
from _latency import as_json, latencies, print_latencies
from _lock_cases import cases


def main() -> None:
    """Measure everything, or what the options choose."""
    parser = parser_of(__doc__)
    options = parser.parse_args()
    rows = measure_all(cases(), options)
    measured = latencies(100) if options.only in "latency" else []
    if not rows and not measured:
        parser.error(f"no case has {options.only!r} in its name")
    if rows or options.json:
        show(rows, options, latencies=as_json(measured))
    if not options.json:
        print_latencies(measured)


if __name__ == "__main__":
    main()
