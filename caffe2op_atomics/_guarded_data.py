"""What a GuardedTensor is made of: a shape, or a tensor that can be guarded."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from ._arguments import check_dense, has_memory
from ._guarded_file import MOST_DIMENSIONS
from ._shared_file import DTYPES


def zeros(shape: Iterable[int], dtype: torch.dtype | None) -> Tensor:
    """Return zeros.

    Raises:
        TypeError: if ``shape`` is none.
    """
    # A torch.Size, a list, a tuple: and a shape that torch refuses is refused in its words.
    sizes = tuple(shape) if isinstance(shape, Iterable) else None
    if sizes is None or not all(isinstance(size, Integral) for size in sizes):
        got = type(shape).__name__ if sizes is None else repr(shape)
        raise TypeError(f"GuardedTensor: data must be a tensor or a shape, got {got}")
    return torch.zeros(sizes, dtype=dtype, device="cpu")  # whatever the default device is


def check(tensor: Tensor) -> None:
    """Raise if a tensor cannot be guarded.

    Raises:
        RuntimeError: if it cannot.
    """
    check_dense("GuardedTensor: data", tensor)
    dtype = str(tensor.dtype).removeprefix("torch.")
    rules: list[tuple[bool, str, Any]] = [
        (tensor.device.type == "cpu", "be on cpu", tensor.device),
        (tensor.dtype in DTYPES, "have a dtype that the ops take", dtype),
        (not tensor.is_neg() and not tensor.is_conj(), "not be a negative view", "one"),
        (tensor.dim() <= MOST_DIMENSIONS, "have at most 8 dimensions", tensor.dim()),
        # Or torch crashes where it is to share it.
        (has_memory(tensor), "have memory of its own", f"a {type(tensor).__name__} without"),
    ]
    for holds, rule, actual in rules:
        if not holds:
            raise RuntimeError(f"GuardedTensor: data must {rule}, got {actual}")
