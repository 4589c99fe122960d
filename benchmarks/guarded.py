"""The guarded ops and optimizers against racy torch and one lock, as ratios from one run.

    python benchmarks/guarded.py [--json | --markdown] [--plot FILE] [--curves FILE] [--only TEXT]

| what | against | at least |
|---|---|---|
| `guarded_add_` of 16 M float32, 1 worker | `add_` | 0.95x its speed |
| the same, 2 processes | racy `add_` from 2 processes | 0.95x, zero lost |
| word counting (int64, Zipf, batches of 4096), 2 processes | racy `index_add_` | 2x |
| | `index_add_` under one mp.Lock | 0.9x |
| `guarded_index_add_` of 4096 rows of 64 in 100,000, uniform, Zipf | racy `index_add_` | 1x |
| | `index_put_(accumulate=True)` | 2x |
| `guarded_adam_`, 16 M parameters | `torch.optim.Adam(fused=True)` | 1x |
| `optim.Adam.step`, 60 small tensors | `torch.optim.Adam(fused=True)` | 0.9x |
| training on digits, 2 workers: samples a second | the racy variant | 0.98x |
| its time to 97% test accuracy | the racy variant | 1x |
| memory | the tensors | under 1% more above 16 MB |

On one machine of two cores each target was reached, but not all in one run (docs/speed.md says how
runs differ): the dense rows, the Zipf rows and Adam on 16 M are within some percent of the racy
way, whose speed at counting words differs with what the shared host's caches do.

The rows without a target are there to compare. Both sides are measured in turn, several times, and
the medians compared; torch uses one thread, every worker has a core of its own as far as there are
any.
"""

from __future__ import annotations

from pathlib import Path

from _compare import measure_all, parser_of, show
from _curves import curves, draw
from _guarded_cases import cases
from _memory import print_overheads
from _training import compare_training


def main() -> None:
    """Measure everything, or what the options choose."""
    parser = parser_of(__doc__)
    parser.add_argument("--curves", type=Path, metavar="FILE", help="cost by workers and by size")
    options = parser.parse_args()
    rows = measure_all(cases(), options)
    if options.only in "training on digits":
        rows += compare_training(rounds=15)
    if not rows:
        parser.error(f"no case has {options.only!r} in its name")
    show(rows, options)
    if not options.json:
        print_overheads()
    if options.curves is not None:
        draw(curves(options.seconds), options.curves)


if __name__ == "__main__":
    main()
