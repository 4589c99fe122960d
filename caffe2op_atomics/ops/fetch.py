"""Changing every element of a tensor and returning what was there before.

The contract is in the docstring of :mod:`caffe2op_atomics.ops`.
"""

from __future__ import annotations

from torch import Tensor

from ._operand import Number, operand
from ._overloads import Scope, in_scope


def fetch_add(target: Tensor, other: Tensor | Number, *, scope: Scope = "system") -> Tensor:
    """Add ``other`` to ``target`` and return what ``target`` held before.

    Example:
        >>> counter = torch.zeros(1, dtype=torch.int64)
        >>> fetch_add(counter, 5), counter
        (tensor([0]), tensor([5]))
    """
    return in_scope[scope].fetch_add(target, operand("fetch_add", "other", other, target))


def fetch_sub(target: Tensor, other: Tensor | Number, *, scope: Scope = "system") -> Tensor:
    """Subtract ``other`` from ``target`` and return what ``target`` held before.

    Example:
        >>> counter = torch.full((1,), 5)
        >>> fetch_sub(counter, 2), counter
        (tensor([5]), tensor([3]))
    """
    return in_scope[scope].fetch_sub(target, operand("fetch_sub", "other", other, target))


def fetch_min(target: Tensor, other: Tensor | Number, *, scope: Scope = "system") -> Tensor:
    """Lower ``target`` to ``other`` where it is smaller and return what it held before.

    Example:
        >>> target = torch.tensor([1, 5])
        >>> fetch_min(target, 3), target
        (tensor([1, 5]), tensor([1, 3]))
    """
    return in_scope[scope].fetch_min(target, operand("fetch_min", "other", other, target))


def fetch_max(target: Tensor, other: Tensor | Number, *, scope: Scope = "system") -> Tensor:
    """Raise ``target`` to ``other`` where it is larger and return what it held before.

    Example:
        >>> target = torch.tensor([1, 5])
        >>> fetch_max(target, 3), target
        (tensor([1, 5]), tensor([3, 5]))
    """
    return in_scope[scope].fetch_max(target, operand("fetch_max", "other", other, target))


def fetch_and(target: Tensor, other: Tensor | Number, *, scope: Scope = "system") -> Tensor:
    """Keep the bits of ``target`` that ``other`` has too and return what it held before.

    Example:
        >>> target = torch.tensor([6, 1])
        >>> fetch_and(target, 3), target
        (tensor([6, 1]), tensor([2, 1]))
    """
    return in_scope[scope].fetch_and(target, operand("fetch_and", "other", other, target))


def fetch_or(target: Tensor, other: Tensor | Number, *, scope: Scope = "system") -> Tensor:
    """Set the bits of ``other`` in ``target`` and return what it held before.

    Example:
        >>> target = torch.tensor([6, 1])
        >>> fetch_or(target, 3), target
        (tensor([6, 1]), tensor([7, 3]))
    """
    return in_scope[scope].fetch_or(target, operand("fetch_or", "other", other, target))


def fetch_xor(target: Tensor, other: Tensor | Number, *, scope: Scope = "system") -> Tensor:
    """Flip the bits of ``other`` in ``target`` and return what it held before.

    Example:
        >>> target = torch.tensor([6, 1])
        >>> fetch_xor(target, 3), target
        (tensor([6, 1]), tensor([5, 2]))
    """
    return in_scope[scope].fetch_xor(target, operand("fetch_xor", "other", other, target))


def fetch_add_below(
    target: Tensor, other: Tensor | Number, limit: Tensor | Number, *, scope: Scope = "system"
) -> tuple[Tensor, Tensor]:
    """Add ``other`` where the sum is at most ``limit``; return old values and success.

    For permits, tickets and credits: a target that has reached its limit is left alone. An integer
    sum that does not fit the dtype is above every limit, a NaN too; ``limit`` bounds only sums, so
    a negative ``other`` may be added to a target that is above it.

    Returns:
        What ``target`` held before, and a bool tensor that is true where ``other`` was added.

    Example:
        >>> permits = torch.tensor([1, 3])
        >>> fetch_add_below(permits, 1, limit=3)
        (tensor([1, 3]), tensor([ True, False]))
        >>> permits
        tensor([2, 3])
    """
    other = operand("fetch_add_below", "other", other, target)
    limit = operand("fetch_add_below", "limit", limit, target)
    old, success = in_scope[scope].fetch_add_below(target, other, limit)
    return old, success


def fetch_add_checked(
    target: Tensor, other: Tensor | Number, *, scope: Scope = "system"
) -> tuple[Tensor, Tensor]:
    """Add ``other`` where the sum fits the dtype; return old values and where it did not.

    ``target`` is of an integer dtype. Where the sum would wrap, ``target`` is left alone.

    Returns:
        What ``target`` held before, and a bool tensor that is true where nothing was added.

    Example:
        >>> target = torch.tensor([100, 120], dtype=torch.int8)
        >>> fetch_add_checked(target, 10)
        (tensor([100, 120], dtype=torch.int8), tensor([False,  True]))
        >>> target
        tensor([110, 120], dtype=torch.int8)
    """
    other = operand("fetch_add_checked", "other", other, target)
    old, overflowed = in_scope[scope].fetch_add_checked(target, other)
    return old, overflowed
