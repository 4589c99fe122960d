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

from itertools import chain

import _store_cases
from _compare import run

SECTIONS = [_store_cases.cases]

if __name__ == "__main__":
    run(chain.from_iterable(section() for section in SECTIONS), __doc__)
