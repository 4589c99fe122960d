"""Calls every lock-free op on a GPU, every dtype, both scopes: for what `make verify-cuda` runs.

Each target lies at the end of its allocation, and in the middle of a larger one. Run it with
PYTORCH_NO_CUDA_MEMORY_CACHING=1: of what torch cuts from larger blocks, no tool sees the end.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

sys.path.insert(0, str(Path(__file__).parent.parent))

from op_table import DENSE, INDEXED, NUMBER

from caffe2op_atomics import _library


def on_gpu(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    return tree_map_only(Tensor, lambda each: each.to("cuda"), arguments)


def placed(target: Tensor, *, at_the_end: bool) -> Tensor:
    """Return a copy with others before it, and after it too if not ``at_the_end``.

    In whole words of 32 bits, as which those of 8 and 16 bits are updated.
    """
    n = target.numel()
    memory = torch.zeros(4 * (n // 4 + 1), dtype=target.dtype, device=target.device)
    part = memory[len(memory) - n :] if at_the_end else memory[1:][:n]
    return part.view(target.shape).copy_(target)


def main() -> None:
    """Call them all."""
    calls = 0
    for op in DENSE + NUMBER + INDEXED:
        for dtype in op.dtypes:
            target, *others = on_gpu(op.arguments(dtype))
            for each in (placed(target, at_the_end=True), placed(target, at_the_end=False)):
                for only_device in (1, 0):
                    _library.cuda_library.atomics_set_device_scope(only_device)
                    op.overload(each, *others, **op.keywords)
                    calls += 1
    rows, index = torch.zeros(5, 64, device="cuda"), torch.arange(4000, device="cuda") % 5
    torch.ops.atomics.index_add_(rows, 0, index, torch.ones(4000, 64, device="cuda"))
    counts = torch.zeros(5, dtype=torch.int64, device="cuda")
    torch.ops.atomics.index_fetch_add(counts, 0, index, torch.ones_like(index))
    torch.cuda.synchronize()
    assert rows.eq(800).all()
    assert counts.eq(800).all()
    print(f"{calls + 2} calls")


if __name__ == "__main__":
    main()
