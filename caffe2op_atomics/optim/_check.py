"""What the optimizers ask of parameters and options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .._arguments import check_dense
from ._gradients import check_private

_DTYPES = (torch.float32, torch.float64, torch.bfloat16)


def check_params(
    name: str, groups: Sequence[Mapping[str, Any]], params: Sequence[Tensor], gpu: bool
) -> None:
    """Raise if an optimizer cannot be made of these groups, or, with ``gpu``, not on a GPU either.

    Raises:
        ValueError: for an option that is not supported.
        RuntimeError: for a parameter.
    """
    for option in ("capturable", "differentiable"):
        if any(group.get(option) for group in groups):
            raise ValueError(f"{name}: {option} must be False, got True")
    for number, param in enumerate(params):
        which = f"{name}: parameter {number}"
        if param.is_cuda and not gpu:
            raise RuntimeError(
                f"{which} must be on cpu, got {param.device} (SGD without momentum takes those of "
                "a GPU, where the kernels were built)"
            )
        if param.device.type not in ("cpu", "cuda"):
            raise RuntimeError(f"{which} must be on cpu, got {param.device}")
        if param.device != params[0].device:
            raise RuntimeError(
                f"{which} must be on {params[0].device} like parameter 0, got {param.device}"
            )
        check_dense(which, param)
        if param.dtype not in _DTYPES:
            dtype = str(param.dtype).removeprefix("torch.")
            raise RuntimeError(f"{which} must be float32, float64 or bfloat16, got {dtype}")
        if not param.is_shared():
            raise RuntimeError(
                f"{which} must be shared (model.share_memory() first), got private memory"
            )
    check_private(name, params)
