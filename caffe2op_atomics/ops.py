"""Atomic operations on tensors, with the names of the registered ``torch.ops.atomics.*``.

The contract that all functions share:

* ``target`` is a CPU tensor of any shape, of dtype int32, int64, float32 or float64. It is changed
  in place, through its strides if it has any, element by element: each element is updated
  atomically, a whole tensor is not. It must be aligned and must not overlap itself.
* ``other`` (``expected``, ``desired``) has target's dtype and device and broadcasts to target's
  shape, or is a number. It must not share memory with target.
* A name that ends in ``_`` changes target and returns it. ``fetch_*``, ``exchange`` and
  ``compare_exchange`` change it and return what was there before, in a new contiguous tensor.
* Integers wrap on overflow. Gradients are neither recorded nor propagated, parameters are taken
  without complaint, and ``target._version`` does not change.
* Memory order: sequentially consistent for one-element targets, acquire-release per element for
  larger ones (``std::memory_order`` of C++20).
* All threads and processes that touch target at the same time must do it through atomics. A plain
  torch operation beside them reads whole elements, but what it writes may be lost.

Raises, before anything is changed:
    RuntimeError: ``<op>: <argument> must <rule>, got <actual>`` for a tensor argument.
    TypeError, ValueError: for a number that target's dtype cannot hold.
"""

from __future__ import annotations

import numbers
from typing import TypeAlias

import torch
from torch import Tensor

_ops = torch.ops.atomics

__all__ = [
    "add_",
    "compare_exchange",
    "exchange",
    "fetch_add",
    "fetch_sub",
    "index_add_",
    "load",
    "store_",
    "sub_",
]

Number: TypeAlias = int | float


def load(target: Tensor) -> Tensor:
    """Return what ``target`` holds, each element read atomically.

    Example:
        >>> load(torch.tensor([1, 2]))
        tensor([1, 2])
    """
    return _ops.load.default(target)


def store_(target: Tensor, other: Tensor | Number) -> Tensor:
    """Write ``other`` to ``target`` and return ``target``.

    Example:
        >>> store_(torch.zeros(2), 3)
        tensor([3., 3.])
    """
    _ops.store_.default(target, _operand("store_", "other", other, target))
    return target


def exchange(target: Tensor, other: Tensor | Number) -> Tensor:
    """Write ``other`` to ``target`` and return what ``target`` held before.

    Example:
        >>> target = torch.tensor([1, 2])
        >>> exchange(target, 0), target
        (tensor([1, 2]), tensor([0, 0]))
    """
    return _ops.exchange.default(target, _operand("exchange", "other", other, target))


def compare_exchange(
    target: Tensor, expected: Tensor | Number, desired: Tensor | Number
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
    expected = _operand("compare_exchange", "expected", expected, target)
    desired = _operand("compare_exchange", "desired", desired, target)
    old, success = _ops.compare_exchange.default(target, expected, desired)
    return old, success


def fetch_add(target: Tensor, other: Tensor | Number) -> Tensor:
    """Add ``other`` to ``target`` and return what ``target`` held before.

    Example:
        >>> counter = torch.zeros(1, dtype=torch.int64)
        >>> fetch_add(counter, 5), counter
        (tensor([0]), tensor([5]))
    """
    return _ops.fetch_add.default(target, _operand("fetch_add", "other", other, target))


def fetch_sub(target: Tensor, other: Tensor | Number) -> Tensor:
    """Subtract ``other`` from ``target`` and return what ``target`` held before.

    Example:
        >>> counter = torch.full((1,), 5)
        >>> fetch_sub(counter, 2), counter
        (tensor([5]), tensor([3]))
    """
    return _ops.fetch_sub.default(target, _operand("fetch_sub", "other", other, target))


def add_(target: Tensor, other: Tensor | Number, alpha: Number = 1) -> Tensor:
    """Add ``alpha * other`` to ``target`` and return ``target``.

    Args:
        target: see the module.
        other: see the module.
        alpha: a factor; for an integer target an integer that fits, below 2**53.

    Example:
        >>> add_(torch.ones(2), torch.ones(2), alpha=-0.5)
        tensor([0.5000, 0.5000])
    """
    _ops.add_.default(target, _operand("add_", "other", other, target), alpha)
    return target


def sub_(target: Tensor, other: Tensor | Number, alpha: Number = 1) -> Tensor:
    """Subtract ``alpha * other`` from ``target`` and return ``target``.

    Args:
        target: see the module.
        other: see the module.
        alpha: a factor; for an integer target an integer that fits, below 2**53.

    Example:
        >>> sub_(torch.ones(2), torch.ones(2), alpha=0.5)
        tensor([0.5000, 0.5000])
    """
    _ops.sub_.default(target, _operand("sub_", "other", other, target), alpha)
    return target


def index_add_(
    target: Tensor, dim: int, index: Tensor, source: Tensor | Number, alpha: Number = 1
) -> Tensor:
    """Add ``alpha * source[i]`` to ``target[index[i]]`` for every i and return ``target``.

    Every occurrence of an index counts. Equal indices of a call are summed first, in the order of
    the call, and each distinct row is then updated once; so a floating-point sum may differ from
    ``torch.Tensor.index_add_`` in its last digits. All indices are checked, on a private copy,
    before the first write.

    Args:
        target: at least one dimension; see the module.
        dim: 0.
        index: one dimension, int32 or int64, values in ``[0, target.size(0))``.
        source: of shape ``[len(index), *target.shape[1:]]``, or a number for all of it.
        alpha: a factor; for an integer target an integer that fits, below 2**53.

    Example:
        >>> counts = torch.zeros(3, dtype=torch.int64)
        >>> index_add_(counts, 0, torch.tensor([2, 0, 2]), 1)
        tensor([1, 0, 2])
    """
    if not isinstance(index, Tensor):
        raise TypeError(f"index_add_: index must be a tensor, got {type(index).__name__}")
    source = _operand("index_add_", "source", source, target)
    if source.dim() == 0 and target.dim() > 0:
        source = source.expand(index.numel(), *target.shape[1:])
    _ops.index_add_.default(target, dim, index, source, alpha)
    return target


def _operand(op: str, name: str, value: Tensor | Number, target: Tensor) -> Tensor:
    """Return ``value`` as a tensor, after checking that target's dtype can hold a number."""
    if isinstance(value, Tensor):
        return value
    if not isinstance(target, Tensor):
        raise TypeError(f"{op}: target must be a tensor, got {type(target).__name__}")
    if not isinstance(value, numbers.Real):
        raise TypeError(f"{op}: {name} must be a tensor or a number, got {type(value).__name__}")
    # Other dtypes are refused by the op, with the list of those it takes.
    if target.dtype in (torch.int32, torch.int64):
        dtype = str(target.dtype).removeprefix("torch.")
        if not isinstance(value, numbers.Integral):
            raise ValueError(f"{op}: {name} must be an integer for {dtype} targets, got {value}")
        limits = torch.iinfo(target.dtype)
        if not limits.min <= value <= limits.max:
            raise ValueError(f"{op}: {name} must fit in {dtype}, got {value}")
    return torch.full((), value, dtype=target.dtype, device=target.device)
