"""The lock-free ops on a GPU against torch's own, as ratios from one run.

    python benchmarks/gpu.py [--json | --markdown] [--plot FILE] [--only TEXT]

**Not yet run on a card.** What is aimed at, on one H100:

| what | against | at least |
|---|---|---|
| `add_`, 256 M float32 or bfloat16 | torch's `add_` | 0.9x |
| `fetch_add` | two copies, which read and write as much | 0.8x |
| `index_add_` of single integers, uniform | torch's `index_add_` | 1x |
| the same, Zipf | torch's `index_add_` | 2x |
| `index_add_` of rows | torch's `index_add_` | 1x |
| `index_fetch_add` on one counter | an addition for each warp | 0.67x |

(Not cuda.py: beside a script of that name, torch does not find the package `cuda`.)

Ten calls are waited for at once; both sides are measured in turn, several times, and the medians
compared.
"""

from __future__ import annotations

import torch
from _compare import run
from _gpu_cases import cases
from _page import skip

from caffe2op_atomics import is_supported

if __name__ == "__main__":
    if not torch.cuda.is_available():
        skip("no GPU here")
    if not (support := is_supported("add_", torch.float32, "cuda")):
        skip(str(support))
    print(f"{torch.cuda.get_device_name()}\n")
    run(cases(), __doc__)
