"""Changing indexed rows of a tensor.

The contract is in the docstring of :mod:`caffe2op_atomics.ops`.
"""

from __future__ import annotations

from torch import Tensor

from ._operand import Number, operand
from ._overloads import Scope, in_scope


def index_add_(
    target: Tensor,
    dim: int,
    index: Tensor,
    source: Tensor | Number,
    alpha: Number = 1,
    *,
    scope: Scope = "system",
) -> Tensor:
    """Add ``alpha * source[i]`` to ``target[index[i]]`` for every i and return ``target``.

    Args:
        target: at least one dimension; see :mod:`caffe2op_atomics.ops`.
        dim: 0.
        index: see :mod:`caffe2op_atomics.ops`.
        source: see :mod:`caffe2op_atomics.ops`.
        alpha: a factor; for an integer target an integer that fits, below 2**53.
        scope: see :mod:`caffe2op_atomics.ops`.

    Example:
        >>> counts = torch.zeros(3, dtype=torch.int64)
        >>> index_add_(counts, 0, torch.tensor([2, 0, 2]), 1)
        tensor([1, 0, 2])
    """
    source = rows_operand("index_add_", "source", source, target, index)
    in_scope[scope].index_add_(target, dim, index, source, alpha)
    return target


def index_min_(
    target: Tensor, dim: int, index: Tensor, source: Tensor | Number, *, scope: Scope = "system"
) -> Tensor:
    """Lower ``target[index[i]]`` to ``source[i]`` where that is smaller; return ``target``.

    Example:
        >>> target = torch.tensor([5, 5, 5])
        >>> index_min_(target, 0, torch.tensor([1, 0, 1]), torch.tensor([4, 9, 3]))
        tensor([5, 3, 5])
    """
    source = rows_operand("index_min_", "source", source, target, index)
    in_scope[scope].index_min_(target, dim, index, source)
    return target


def index_max_(
    target: Tensor, dim: int, index: Tensor, source: Tensor | Number, *, scope: Scope = "system"
) -> Tensor:
    """Raise ``target[index[i]]`` to ``source[i]`` where that is larger; return ``target``.

    Example:
        >>> target = torch.tensor([5, 5, 5])
        >>> index_max_(target, 0, torch.tensor([1, 0, 1]), torch.tensor([4, 9, 7]))
        tensor([9, 7, 5])
    """
    source = rows_operand("index_max_", "source", source, target, index)
    in_scope[scope].index_max_(target, dim, index, source)
    return target


def index_and_(
    target: Tensor, dim: int, index: Tensor, source: Tensor | Number, *, scope: Scope = "system"
) -> Tensor:
    """Keep the bits of ``target[index[i]]`` that ``source[i]`` has too; return ``target``.

    Example:
        >>> target = torch.tensor([7, 7, 7])
        >>> index_and_(target, 0, torch.tensor([1, 0, 1]), torch.tensor([6, 1, 3]))
        tensor([1, 2, 7])
    """
    source = rows_operand("index_and_", "source", source, target, index)
    in_scope[scope].index_and_(target, dim, index, source)
    return target


def index_or_(
    target: Tensor, dim: int, index: Tensor, source: Tensor | Number, *, scope: Scope = "system"
) -> Tensor:
    """Set the bits of ``source[i]`` in ``target[index[i]]`` and return ``target``.

    Example:
        >>> target = torch.tensor([0, 0, 8])
        >>> index_or_(target, 0, torch.tensor([1, 0, 1]), torch.tensor([6, 1, 1]))
        tensor([1, 7, 8])
    """
    source = rows_operand("index_or_", "source", source, target, index)
    in_scope[scope].index_or_(target, dim, index, source)
    return target


def index_fetch_add(
    target: Tensor, dim: int, index: Tensor, source: Tensor | Number, *, scope: Scope = "system"
) -> Tensor:
    """Add ``source[i]`` to ``target[index[i]]`` for every i; return what each i found there.

    Equal indices of a call each find a value of their own: with a source of 1 they draw different
    tickets.

    Returns:
        A tensor of source's shape.

    Example:
        >>> tickets = torch.zeros(3, dtype=torch.int64)
        >>> index_fetch_add(tickets, 0, torch.tensor([2, 0, 2]), 1), tickets
        (tensor([0, 0, 1]), tensor([1, 0, 2]))
    """
    source = rows_operand("index_fetch_add", "source", source, target, index)
    return in_scope[scope].index_fetch_add(target, dim, index, source)


def index_exchange(
    target: Tensor, dim: int, index: Tensor, source: Tensor | Number, *, scope: Scope = "system"
) -> Tensor:
    """Write ``source[i]`` to ``target[index[i]]`` for every i; return what each i found there.

    Returns:
        A tensor of source's shape. Of equal indices each finds what the one before it wrote.

    Example:
        >>> target = torch.tensor([1, 2, 3])
        >>> index_exchange(target, 0, torch.tensor([2, 2]), torch.tensor([7, 8])), target
        (tensor([3, 7]), tensor([1, 2, 8]))
    """
    source = rows_operand("index_exchange", "source", source, target, index)
    return in_scope[scope].index_exchange(target, dim, index, source)


def index_compare_exchange(
    target: Tensor,
    dim: int,
    index: Tensor,
    expected: Tensor | Number,
    desired: Tensor | Number,
    *,
    scope: Scope = "system",
) -> tuple[Tensor, Tensor]:
    """Write ``desired[i]`` where ``target[index[i]]`` holds ``expected[i]``, as compare_exchange.

    Returns:
        What each i found, and a bool tensor that is true where it wrote; both of desired's shape.

    Example:
        >>> slots = torch.zeros(3, dtype=torch.int64)
        >>> index_compare_exchange(slots, 0, torch.tensor([2, 2]), 0, torch.tensor([7, 8]))
        (tensor([0, 7]), tensor([ True, False]))
        >>> slots
        tensor([0, 0, 7])
    """
    expected = rows_operand("index_compare_exchange", "expected", expected, target, index)
    desired = rows_operand("index_compare_exchange", "desired", desired, target, index)
    old, success = in_scope[scope].index_compare_exchange(target, dim, index, expected, desired)
    return old, success


def rows_operand(
    op: str, name: str, value: Tensor | Number, target: Tensor, index: Tensor
) -> Tensor:
    """Return ``value`` as a tensor with one row of target's for each index."""
    if not isinstance(index, Tensor):
        raise TypeError(f"{op}: index must be a tensor, got {type(index).__name__}")
    rows = operand(op, name, value, target)
    if rows.dim() == 0 and target.dim() > 0:
        rows = rows.expand(index.numel(), *target.shape[1:])
    return rows
