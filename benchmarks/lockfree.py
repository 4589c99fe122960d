"""The lock-free ops against what one would write instead, as ratios from one run.

    python benchmarks/lockfree.py [--json | --markdown] [--plot FILE] [--only TEXT]

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
docs/benchmarks.md:

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

from _cases import cases
from _compare import run
from _per_element import build

if __name__ == "__main__":
    run(cases(build()), __doc__)
