"""Reading and replacing every element of a tensor.

The contract is in the docstring of :mod:`caffe2op_atomics.ops`.
"""

from __future__ import annotations

from torch import Tensor

from ._operand import Number, operand
from ._overloads import Scope, in_scope


def load(target: Tensor, *, scope: Scope = "system") -> Tensor:
    """Return what ``target`` holds, each element read atomically.

    Example:
        >>> load(torch.tensor([1, 2]))
        tensor([1, 2])
    """
    return in_scope[scope].load(target)


def store_(target: Tensor, other: Tensor | Number, *, scope: Scope = "system") -> Tensor:
    """Write ``other`` to ``target`` and return ``target``.

    Example:
        >>> store_(torch.zeros(2), 3)
        tensor([3., 3.])
    """
    in_scope[scope].store_(target, operand("store_", "other", other, target))
    return target


def exchange(target: Tensor, other: Tensor | Number, *, scope: Scope = "system") -> Tensor:
    """Write ``other`` to ``target`` and return what ``target`` held before.

    Example:
        >>> target = torch.tensor([1, 2])
        >>> exchange(target, 0), target
        (tensor([1, 2]), tensor([0, 0]))
    """
    return in_scope[scope].exchange(target, operand("exchange", "other", other, target))


def compare_exchange(
    target: Tensor, expected: Tensor | Number, desired: Tensor | Number, *, scope: Scope = "system"
) -> tuple[Tensor, Tensor]:
    """Write ``desired`` where ``target`` holds ``expected``; return old values and success.

    Compares representations, not values: a NaN equals itself, -0.0 differs from 0.0.

    Returns:
        What ``target`` held before, and a bool tensor that is true where it was written.

    Example:
        >>> target = torch.tensor([1, 2])
        >>> compare_exchange(target, 1, 10)
        (tensor([1, 2]), tensor([ True, False]))
        >>> target
        tensor([10,  2])
    """
    expected = operand("compare_exchange", "expected", expected, target)
    desired = operand("compare_exchange", "desired", desired, target)
    old, success = in_scope[scope].compare_exchange(target, expected, desired)
    return old, success
