"""Rules on arguments, and their texts."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Iterator
from numbers import Real

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
