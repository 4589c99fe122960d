"""What the ops mean, in plain Python: element by element, with Python's own numbers."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Value = float


def _smaller(old: Value, other: Value) -> Value:
    return old if math.isnan(old) or old <= other else other


def _larger(old: Value, other: Value) -> Value:
    return old if math.isnan(old) or old >= other else other


MEANING: dict[str, Callable[[Value, Value], Value]] = {
    "exchange": lambda old, other: other,
    "add": lambda old, other: old + other,
    "sub": lambda old, other: old - other,
    "min": _smaller,
    "max": _larger,
    "and": lambda old, other: int(old) & int(other),
    "or": lambda old, other: int(old) | int(other),
    "xor": lambda old, other: int(old) ^ int(other),
}

# op -> what an element is afterwards
AFTER = {
    "store_": MEANING["exchange"],
    "exchange": MEANING["exchange"],
    **{f"fetch_{name}": meaning for name, meaning in MEANING.items() if name != "exchange"},
    **{f"{name}_": meaning for name, meaning in MEANING.items() if name != "exchange"},
}
FETCHING = {"exchange"} | {op for op in AFTER if op.startswith("fetch_")}


def held(value: Value, dtype: torch.dtype) -> Value:
    """Return ``value`` as an element of ``dtype`` holds it: wrapped, or rounded to the nearest."""
    if dtype == torch.bool:
        return bool(value)
    if dtype.is_floating_point:
        # Through float32, as sums of the 16-bit types are calculated.
        wide = torch.tensor(value, dtype=torch.promote_types(dtype, torch.float32))
        return float(wide.to(dtype).item())
    limits = torch.iinfo(dtype)
    return (int(value) - limits.min) % 2**limits.bits + limits.min


def numbers(shape: tuple[int, ...], dtype: torch.dtype, start: int) -> Tensor:
    """Return small numbers, all different where the dtype has as many."""
    values = torch.arange(start, start + math.prod(shape)).reshape(shape)
    return values % 2 == 1 if dtype == torch.bool else values.to(dtype)


def elementwise(op: str, target: Tensor, other: Tensor) -> list[Value]:
    pairs = zip(target.flatten().tolist(), other.expand_as(target).flatten().tolist(), strict=True)
    return [held(AFTER[op](old, value), target.dtype) for old, value in pairs]
