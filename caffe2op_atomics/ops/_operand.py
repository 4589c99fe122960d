"""Operands that may be numbers."""

from __future__ import annotations

import math
import numbers
from typing import TypeAlias

import torch
from torch import Tensor

from .._arguments import check_dense

Number: TypeAlias = int | float


def operand(op: str, name: str, value: Tensor | Number, target: Tensor) -> Tensor:
    """Return ``value`` as a tensor, after checking that target's dtype can hold a number."""
    if not isinstance(target, Tensor):
        raise TypeError(f"{op}: target must be a tensor, got {type(target).__name__}")
    if target.layout is not torch.strided:  # of which torch's dispatcher says it in 60 lines
        check_dense(f"{op}: target", target)
    if isinstance(value, Tensor):
        if value.layout is not torch.strided:
            check_dense(f"{op}: {name}", value)
        return value
    if not isinstance(value, numbers.Real):
        raise TypeError(f"{op}: {name} must be a tensor or a number, got {type(value).__name__}")
    if target.is_quantized:  # there are no numbers of its dtype
        check_dense(f"{op}: target", target)
    # Other dtypes are refused by the op, with the list of those it takes.
    dtype = str(target.dtype).removeprefix("torch.")
    if target.dtype == torch.bool:
        if value not in (0, 1):
            raise ValueError(f"{op}: {name} must be 0 or 1 for bool targets, got {value}")
    elif not target.dtype.is_floating_point and not target.dtype.is_complex:
        if not isinstance(value, numbers.Integral):
            raise ValueError(f"{op}: {name} must be an integer for {dtype} targets, got {value}")
        limits = torch.iinfo(target.dtype)
        if not limits.min <= value <= limits.max:
            raise ValueError(f"{op}: {name} must fit in {dtype}, got {value}")
    elif target.dtype.is_floating_point:
        if torch.finfo(target.dtype).max < abs(value) != math.inf:
            raise ValueError(f"{op}: {name} must fit in {dtype}, got {value}")
        value = float(value)  # of an int that is too large for int64, of a fraction
    return torch.full((), value, dtype=target.dtype, device=target.device)
