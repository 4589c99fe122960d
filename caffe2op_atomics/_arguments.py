"""Rules on arguments, and their texts."""

from __future__ import annotations

import contextlib
import math
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


def int64(n: object) -> int:
    """Return ``n`` as a number for a Counter.

    Raises:
        TypeError, OverflowError: if it is no integer, or does not fit in int64.
    """
    number = operator.index(n)  # type: ignore[arg-type]
    if not -_MOST - 1 <= number <= _MOST:
        raise OverflowError(f"Counter: a number must fit in int64, got {number}")
    return number


def seconds_to_wait(function: str, timeout: float | None) -> float:
    """Return the seconds of any number but NaN, 0 for a negative one; -1 for None: for ever.

    Raises:
        TypeError, ValueError: if it is no number.
    """
    return -1 if timeout is None else max(_seconds(function, timeout), 0)


def seconds_or_for_ever(function: str, timeout: float | None) -> float:
    """Return the same where -1 is as None, and any other negative number an error.

    Raises:
        TypeError, ValueError: if it is no such number.
    """
    seconds = -1 if timeout is None else _seconds(function, timeout)
    if seconds < 0 and seconds != -1:
        raise ValueError(
            f"{function}: timeout must be non-negative, or None or -1 for ever, got {timeout}"
        )
    return seconds


def _seconds(function: str, timeout: float) -> float:
    try:
        seconds = float(operator.pos(timeout))  # float() alone takes texts
    except TypeError:
        raise TypeError(
            f"{function}: timeout must be a number of seconds or None, got {timeout!r}"
        ) from None
    if math.isnan(seconds):
        raise ValueError(f"{function}: timeout must be a number of seconds or None, got nan")
    return seconds


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
