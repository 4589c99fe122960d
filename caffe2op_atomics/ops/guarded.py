"""Changing tensors under a bank of mutexes: exact, at the speed of plain vector loops.

The contract that these functions share, beside that of :mod:`caffe2op_atomics.ops`:

* ``mutex`` is a bank of n mutexes, as ``torch.ops.atomics.create_mutex(n)`` makes it. Every 16 KiB
  of the target's storage are a stripe, and mutex ``(first + byte // 16384) % n`` guards the stripe
  of a byte of the storage. Who touches the same memory has to give the same bank and the same
  ``first``, through the same storage; two tensors may share a bank.
* A call locks one stripe after the other, and changes what lies in it as a unit. It blocks while
  another thread or process holds a stripe, and Ctrl-C waits with it. It must not be called by a
  thread that holds a mutex of the bank.
* When a process dies in a call, each element is either changed or not, the next call goes on, and
  the op ``mutex_recoveries`` counts it. A fused step that dies can leave one stripe in which the
  parameter and its moments differ by one step, which is counted as torn.
* A plain torch write beside a guarded one may be lost, and so may a lock-free one.

:class:`caffe2op_atomics.GuardedTensor` and :mod:`caffe2op_atomics.optim` make and keep the bank.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ._operand import Number, operand
from ._overloads import default as _default
from .indexed import rows_operand


def guarded_add_(
    mutex: Tensor, target: Tensor, other: Tensor | Number, alpha: Number = 1, first: int = 0
) -> Tensor:
    """Add ``alpha * other`` to ``target`` under its locks and return ``target``.

    Args:
        mutex: a bank, see :mod:`caffe2op_atomics.ops.guarded`.
        target: of any dtype but bool.
        other: a number, or of target's dtype; broadcasts to target's shape.
        alpha: a factor; for an integer target an integer that fits, below 2**53.
        first: the mutex of the first byte of target's storage.

    Example:
        >>> bank = torch.ops.atomics.create_mutex(4)
        >>> guarded_add_(bank, torch.ones(3), torch.tensor([1.0, 2.0, 3.0]), alpha=2)
        tensor([3., 5., 7.])
    """
    value = operand("guarded_add_", "other", other, target)
    _default.guarded_add_(mutex, target, value, alpha, first)
    return target


def guarded_load(mutex: Tensor, target: Tensor, consistent: bool = False, first: int = 0) -> Tensor:
    """Return a copy of ``target``, each stripe of which was copied under its lock.

    Args:
        mutex: a bank, see :mod:`caffe2op_atomics.ops.guarded`.
        target: of any dtype.
        consistent: hold all locks of target at once, so that the copy is one point in time.
        first: the mutex of the first byte of target's storage.

    Example:
        >>> guarded_load(torch.ops.atomics.create_mutex(), torch.arange(3), consistent=True)
        tensor([0, 1, 2])
    """
    return _default.guarded_load(mutex, target, consistent, first)


def guarded_store_(mutex: Tensor, target: Tensor, other: Tensor | Number, first: int = 0) -> Tensor:
    """Write ``other`` to ``target`` under its locks and return ``target``.

    Args:
        mutex: a bank, see :mod:`caffe2op_atomics.ops.guarded`.
        target: of any dtype.
        other: a number, or of target's dtype; broadcasts to target's shape.
        first: the mutex of the first byte of target's storage.

    Example:
        >>> guarded_store_(torch.ops.atomics.create_mutex(), torch.arange(3), 7)
        tensor([7, 7, 7])
    """
    value = operand("guarded_store_", "other", other, target)
    _default.guarded_store_(mutex, target, value, first)
    return target


def guarded_exchange(
    mutex: Tensor, target: Tensor, other: Tensor | Number, first: int = 0
) -> Tensor:
    """Write ``other`` to ``target`` under its locks and return what was there before.

    Takes what others have added, and nothing is lost: ``guarded_exchange(mutex, sums, 0)``.

    Args:
        mutex: a bank, see :mod:`caffe2op_atomics.ops.guarded`.
        target: of any dtype.
        other: a number, or of target's dtype; broadcasts to target's shape.
        first: the mutex of the first byte of target's storage.

    Example:
        >>> sums = torch.arange(3)
        >>> guarded_exchange(torch.ops.atomics.create_mutex(), sums, 0), sums
        (tensor([0, 1, 2]), tensor([0, 0, 0]))
    """
    value = operand("guarded_exchange", "other", other, target)
    return _default.guarded_exchange(mutex, target, value, first)


def guarded_rebase_(
    mutex: Tensor,
    target: Tensor,
    seen: Tensor | Number,
    fresh: Tensor | Number,
    first: int = 0,
) -> Tensor:
    """Put ``fresh`` in the place of ``seen``, keep what was added since, and return ``target``.

    An element that still has the bits of ``seen`` gets those of ``fresh``; to any other one
    ``fresh - seen`` is added. Replaces a value that was calculated from a copy, while others add.

    Args:
        mutex: a bank, see :mod:`caffe2op_atomics.ops.guarded`.
        target: of any dtype but bool.
        seen: a number, or of target's dtype; broadcasts to target's shape.
        fresh: a number, or of target's dtype; broadcasts to target's shape.
        first: the mutex of the first byte of target's storage.

    Example:
        >>> target, bank = torch.tensor([5, 6]), torch.ops.atomics.create_mutex()
        >>> seen = guarded_load(bank, target)
        >>> guarded_rebase_(bank, guarded_add_(bank, target, torch.tensor([0, 1])), seen, 10)
        tensor([10, 11])
    """
    before = operand("guarded_rebase_", "seen", seen, target)
    after = operand("guarded_rebase_", "fresh", fresh, target)
    _default.guarded_rebase_(mutex, target, before, after, first)
    return target


def guarded_index_add_(
    mutex: Tensor,
    target: Tensor,
    dim: int,
    index: Tensor,
    source: Tensor | Number,
    alpha: Number = 1,
    first: int = 0,
) -> Tensor:
    """Add ``alpha * source[i]`` to ``target[index[i]]`` for every i and return ``target``.

    The rows are taken in the order of their mutexes, each of which is locked once. Equal indices
    are added in their order, one after the other; those of 16-bit floats, which have to be rounded
    once only, are summed as float32 first, as :func:`caffe2op_atomics.ops.index_add_` does it.

    Args:
        mutex: a bank, see :mod:`caffe2op_atomics.ops.guarded`.
        target: at least one dimension; of any dtype but bool.
        dim: 0.
        index: int32 or int64, of one dimension, with values in ``[0, target.size(0))``.
        source: a number, or of target's dtype and shape ``[len(index), *target.shape[1:]]``.
        alpha: a factor; for an integer target an integer that fits, below 2**53.
        first: the mutex of the first byte of target's storage.

    Example:
        >>> counts, bank = torch.zeros(3, dtype=torch.int64), torch.ops.atomics.create_mutex()
        >>> guarded_index_add_(bank, counts, 0, torch.tensor([2, 0, 2]), 1)
        tensor([1, 0, 2])
    """
    source = rows_operand("guarded_index_add_", "source", source, target, index)
    _default.guarded_index_add_(mutex, target, dim, index, source, alpha, first)
    return target


def guarded_copy_(
    mutex: Sequence[Tensor],
    target: Sequence[Tensor],
    first: Sequence[int],
    out: Sequence[Tensor],
    source: Sequence[Tensor],
) -> Sequence[Tensor]:
    """Copy each of ``source`` into ``out`` while all locks of all targets are held; return ``out``.

    A snapshot over several tensors, ``source`` being the targets, or what has no locks of its own
    and changes under those of the targets; and the way back, ``out`` being the targets.

    Args:
        mutex: one bank for all targets, or one for each. They are locked in the order of their
            place in memory, at most 1024 mutexes at once.
        target: tensors whose locks are held.
        first: for each target the mutex of the first byte of its storage.
        out: tensors to write to.
        source: as many tensors, of the dtypes and shapes of ``out``.

    Example:
        >>> bank, weights, moments = torch.ops.atomics.create_mutex(), torch.ones(2), torch.zeros(2)
        >>> out = [torch.empty(2), torch.empty(2)]
        >>> guarded_copy_([bank], [weights], [0], out, [weights, moments])
        [tensor([1., 1.]), tensor([0., 0.])]
    """
    _default.guarded_copy_(mutex, target, first, out, source)
    return out
