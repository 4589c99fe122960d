"""Calls every lock-free op on a GPU, every dtype, both scopes: for what `make verify-cuda` runs.

Each target lies at the end of its allocation, and in the middle of a larger one.
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


def in_the_middle(target: Tensor) -> Tensor:
    """Return a copy that starts one element past an aligned address, with others around it."""
    memory = torch.zeros(target.numel() + 2, dtype=target.dtype, device=target.device)
    return memory[1:-1].view(target.shape).copy_(target)


def main() -> None:
    """Call them all."""
    calls = 0
    for op in DENSE + NUMBER + INDEXED:
        for dtype in op.dtypes:
            target, *others = on_gpu(op.arguments(dtype))
            for each in (target, in_the_middle(target)):
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
