"""What every lock-free op means for one element, in plain Python.

An element is the bytes that hold it, so that what only moves bits (exchange, a NaN's payload, -0.0)
can be told exactly.
"""

from __future__ import annotations

import math
import struct

import torch
from torch import Tensor

_FORMATS = {torch.float16: "<e", torch.float32: "<f", torch.float64: "<d"}


def stem(name: str) -> str:
    """Of "fetch_add", "add_" and "index_add_": "add"."""
    return name.removeprefix("index_").removeprefix("fetch_").removesuffix("_")


def _pack(code: str, value: float) -> bytes:
    try:
        return struct.pack(code, value)
    except OverflowError:  # rounds to infinity
        return struct.pack(code, math.copysign(math.inf, value))


def encode(dtype: torch.dtype, value: float) -> bytes:
    """The element that holds ``value``: integers modulo their range, floats rounded to nearest."""
    if dtype == torch.bool:
        return bytes([bool(value)])
    if dtype in _FORMATS:
        return _pack(_FORMATS[dtype], value)
    if dtype == torch.bfloat16:  # the upper half of a float32
        bits = int.from_bytes(_pack("<f", value), "little")
        if not math.isnan(value):
            bits += 0x7FFF + (bits >> 16 & 1)  # to nearest, ties to even
        return (bits >> 16).to_bytes(2, "little")
    return (int(value) % 2 ** (8 * dtype.itemsize)).to_bytes(dtype.itemsize, "little")


def decode(dtype: torch.dtype, element: bytes) -> int | float:
    if dtype == torch.bool:
        return bool(element[0])
    if dtype == torch.bfloat16:
        return struct.unpack("<f", b"\0\0" + element)[0]
    if dtype in _FORMATS:
        return struct.unpack(_FORMATS[dtype], element)[0]
    return int.from_bytes(element, "little", signed=dtype.is_signed)


def same(dtype: torch.dtype, one: bytes, other: bytes) -> bool:
    """Equal bytes; or two NaNs, whose bits no standard fixes."""
    nan = dtype.is_floating_point and math.isnan(decode(dtype, one))
    return one == other or (nan and math.isnan(decode(dtype, other)))


def widened(dtype: torch.dtype, value: float) -> float:
    """Rounded to the type that sums of dtype are calculated in."""
    return value if dtype == torch.float64 else decode(torch.float32, _pack("<f", value))


def times(dtype: torch.dtype, alpha: float, value: float) -> int | float:
    """``alpha * value`` as it is added."""
    if not dtype.is_floating_point:
        return int(alpha) * int(value)
    return value if alpha == 1 else widened(dtype, widened(dtype, alpha) * value)


def plus(dtype: torch.dtype, a: float, b: float) -> int | float:
    return widened(dtype, a + b) if dtype.is_floating_point else a + b


def _fits(dtype: torch.dtype, value: float) -> bool:
    if dtype.is_floating_point:
        return True
    return torch.iinfo(dtype).min <= value <= torch.iinfo(dtype).max


def apply(
    name: str, dtype: torch.dtype, before: bytes, *operands: bytes, alpha: float = 1
) -> tuple[bytes, bool | None]:
    """What an element holds after an op of this stem, and the bool that the op returns, if any."""
    value = decode(dtype, before)
    others = [decode(dtype, operand) for operand in operands]
    match name:
        case "load":
            return before, None
        case "store" | "exchange":
            return operands[0], None
        case "compare_exchange":
            success = before == operands[0]
            return (operands[1] if success else before), success
        case "add" | "sub":
            sign = 1 if name == "add" else -1
            other = times(dtype, alpha, others[0])
            return encode(dtype, plus(dtype, value, sign * other)), None
        case "min" | "max":
            mine = value <= others[0] if name == "min" else value >= others[0]
            return (before if mine or math.isnan(value) else operands[0]), None
        case "and":
            return encode(dtype, int(value) & int(others[0])), None
        case "or":
            return encode(dtype, int(value) | int(others[0])), None
        case "xor":
            return encode(dtype, int(value) ^ int(others[0])), None
        case "add_below":
            total = plus(dtype, value, others[0])
            after = encode(dtype, total)
            success = _fits(dtype, total) and decode(dtype, after) <= others[1]
            return (after if success else before), success
        case "add_checked":
            overflowed = not _fits(dtype, value + others[0])
            return (before if overflowed else encode(dtype, value + others[0])), overflowed
    raise AssertionError(f"no meaning of {name} is written down")


def apply_indexed(
    name: str, dtype: torch.dtype, before: bytes, sources: list[tuple[bytes, ...]], alpha: float = 1
) -> tuple[bytes, list[tuple[bytes, bool | None]]]:
    """What an element holds after the sources that one index_* call has for it, in their order.

    And what each of them found, with its bool. Sums of the sources are taken first.
    """
    found: list[tuple[bytes, bool | None]] = []
    if name != "add":
        for operands in sources:
            after, flag = apply(name, dtype, before, *operands)
            found.append((before, flag))
            before = after
        return before, found
    after = before
    total: float | None = None
    for (source,) in sources:
        found.append((after, None))
        other = decode(dtype, source)
        total = other if total is None else plus(dtype, total, other)
        after = encode(dtype, plus(dtype, decode(dtype, before), times(dtype, alpha, total)))
    return after, found


def held(dtype: torch.dtype, value: float) -> int | float:
    """What an element of dtype holds of ``value``."""
    return decode(dtype, encode(dtype, value))


def after(op: str, dtype: torch.dtype, old: float, other: float) -> int | float:
    """What an element that held ``old`` holds after an op with one operand."""
    return decode(dtype, apply(stem(op), dtype, encode(dtype, old), encode(dtype, other))[0])


def elementwise(op: str, target: Tensor, other: Tensor) -> list[int | float]:
    """What the elements of target hold after an op with one operand, which broadcasts to it."""
    pairs = zip(target.flatten().tolist(), other.expand_as(target).flatten().tolist(), strict=True)
    return [after(op, target.dtype, old, value) for old, value in pairs]
