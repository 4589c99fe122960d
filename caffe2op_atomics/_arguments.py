"""Rules on arguments, and their texts."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Iterator
from numbers import Real
from typing import TypeVar

import torch
from torch import Tensor

_T = TypeVar("_T")
_MOST = 2**63 - 1


def integer(name: str, value: object, least: int, most: int = _MOST) -> int:
    """Return ``value`` as an int.

    Raises:
        TypeError, ValueError: if it is no integer, or not in that range.
    """
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {type(value).__name__}") from None
    if not least <= number <= most:
        raise ValueError(f"{name} must be from {least} to {most}, got {number}")
    return number


def sequence(name: str, values: object, kind: type[_T]) -> list[_T]:
    """Return ``values`` as a list.

    Raises:
        TypeError: if it is no sequence, or of other elements.
    """
    if isinstance(values, Tensor) or not hasattr(values, "__iter__"):  # whose rows would be taken
        raise TypeError(f"{name} must be a sequence, got {type(values).__name__}")
    found = list(values)
    for number, each in enumerate(found):
        if not isinstance(each, kind):
            raise TypeError(
                f"{name}[{number}] must be a {kind.__name__}, got {type(each).__name__}"
            )
    return found


def seconds_or_none(name: str, value: object) -> float | None:
    """Return ``value`` as a number of seconds, or None.

    Raises:
        TypeError, ValueError: if it is neither, or negative.
    """
    if value is None:
        return None
    if not isinstance(value, Real):
        raise TypeError(f"{name} must be a number of seconds or None, got {type(value).__name__}")
    seconds = float(value)
    if not seconds >= 0:
        raise ValueError(f"{name} must be None or non-negative, got {value}")
    return seconds


@contextlib.contextmanager
def errors_of(op: str, method: str) -> Iterator[None]:
    """Has the errors of an op begin with the name of the method that calls it."""
    try:
        yield
    except RuntimeError as error:
        name, _, rule = str(error).partition(": ")
        if name != op:
            raise
        raise RuntimeError(f"{method}: {rule}") from None


def check_dense(name: str, tensor: Tensor) -> None:
    """Raise unless the elements of a tensor are all there is in its memory.

    Raises:
        RuntimeError: if it is sparse, nested, quantized or of a foreign layout.
    """
    if tensor.is_nested:
        got = "a nested one"
    elif tensor.is_quantized:
        got = "a quantized one"
    elif tensor.layout is not torch.strided:
        got = f"layout {str(tensor.layout).removeprefix('torch.')}"
    else:
        return
    raise RuntimeError(f"{name} must be a dense tensor, got {got}")


def has_memory(tensor: Tensor) -> bool:
    """Return whether the elements of a dense tensor lie in its storage.

    They do not if that was resized, or if the tensor wraps others and has a storage for show.
    """
    numel = tensor.numel()
    if numel == 0:
        return True
    if tensor.is_contiguous():  # in every step of an optimizer
        last = tensor.storage_offset() + numel - 1
    else:
        steps = zip(tensor.shape, tensor.stride(), strict=True)
        last = tensor.storage_offset() + sum((size - 1) * stride for size, stride in steps)
    nbytes = tensor.untyped_storage().nbytes()
    return (last + 1) * tensor.itemsize <= nbytes and tensor.data_ptr() != 0
