"""Handles: the form of a few ops that a compiled graph can hold.

A compiler may run an in-place op on a copy of its target. It cannot do so to a tensor that it does
not see: a handle is a number, in a tensor, that names a tensor of this process. In a compiled
function the methods of Counter, AtomicBool and GuardedTensor take theirs by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .._arguments import sequence
from ._operand import Number
from ._overloads import default as _default

_guarded = torch.ops.atomics.handle.guarded
_guarded_add_list = torch.ops.atomics.handle_guarded_add_.list


def handle(target: Tensor, *, mutex: Tensor | None = None, first: int = 0) -> Tensor:
    """Register ``target`` and return its handle.

    The tensor stays alive until :func:`handle_release`, at most 1,048,576 at a time. The handle
    means it in this process and in those that are forked later; another process registers its own.

    Args:
        target: a dense CPU tensor of a dtype that :func:`load` takes. It has to stay where it is:
            after ``share_memory_()``, ``resize_()``, ``set_()`` or ``.data =`` ops on the handle
            raise. Share it first.
        mutex: a bank that guards ``target``, as ``torch.ops.atomics.create_mutex(n)`` makes it, for
            :func:`handle_guarded_add_`; without one, the handle is for the others.
        first: the mutex of the first byte of target's storage, see
            :func:`caffe2op_atomics.ops.guarded_add_`.

    Returns:
        An int64 tensor of no dimension, to pass to compiled functions. Do not write to it.

    Raises:
        TypeError: if ``mutex`` is no tensor.
        RuntimeError: if ``target`` or ``mutex`` cannot be used so.

    Example:
        >>> weights = torch.zeros(2)
        >>> h = handle(weights)
        >>> handle_add_(h, torch.ones(2))
        >>> weights
        tensor([1., 1.])
        >>> handle_release(h)
    """
    if mutex is None:
        if first != 0:
            raise TypeError(f"handle: first must be given with a mutex, got {first} without")
    elif not isinstance(mutex, Tensor):
        raise TypeError(
            "handle: mutex must be a tensor, as torch.ops.atomics.create_mutex(n) makes it, got "
            f"{type(mutex).__name__}"
        )
    with torch.inference_mode(False):  # or a graph may not change it
        return _default.handle(target) if mutex is None else _guarded(mutex, target, first)


def handle_release(handle: Tensor) -> None:
    """Forget what ``handle`` names, once no op works on it; ops on it raise from now on.

    Raises:
        RuntimeError: if it names nothing in this process.
    """
    _default.handle_release(handle)


def handle_after(handle: Tensor, *tensors: Tensor) -> None:
    """Have the ops on ``handle`` that follow run after ``tensors`` were calculated.

    A compiler keeps the order of ops on one handle, and does not know that they have to do with
    anything else. Does nothing outside of compiled graphs, where all runs in order.
    """
    for each in (handle, *tensors):
        _check("handle_after", "arguments", each)
    _default.handle_after(handle, list(tensors))


def handle_load(handle: Tensor, size: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Return what is there, as :func:`load`.

    Args:
        handle: of a tensor without a mutex.
        size: its shape, which a trace has to know beforehand.
        dtype: its dtype.

    Raises:
        RuntimeError: if they are not.

    Example:
        >>> h = handle(torch.tensor([3, 4]))
        >>> handle_load(h, [2], torch.int64)
        tensor([3, 4])
        >>> handle_release(h)
    """
    return _default.handle_load(handle, list(size), dtype)


def handle_store_(handle: Tensor, other: Tensor) -> None:
    """Write ``other``, a tensor, which broadcasts, as :func:`store_`."""
    _check("handle_store_", "other", other)
    _default.handle_store_(handle, other)


def handle_add_(handle: Tensor, other: Tensor, alpha: Number = 1) -> None:
    """Add ``alpha * other``, of a tensor, which broadcasts, as :func:`add_`."""
    _check("handle_add_", "other", other)
    _default.handle_add_(handle, other, alpha)


def handle_fetch_add(handle: Tensor, other: Tensor) -> Tensor:
    """Add ``other`` and return what was there before, as :func:`fetch_add`.

    Args:
        handle: of a tensor without a mutex.
        other: of its dtype and shape; it does not broadcast.

    Example:
        >>> h = handle(torch.tensor(3))
        >>> handle_fetch_add(h, torch.tensor(1)), handle_fetch_add(h, torch.tensor(1))
        (tensor(3), tensor(4))
        >>> handle_release(h)
    """
    _check("handle_fetch_add", "other", other)
    return _default.handle_fetch_add(handle, other)


def handle_guarded_add_(
    handle: Tensor | Sequence[Tensor], other: Tensor | Sequence[Tensor], alpha: Number = 1
) -> None:
    """Add ``alpha * other``, of a tensor, which broadcasts, as :func:`guarded_add_`.

    Args:
        handle: of a tensor with a mutex; or a sequence of such handles.
        other: of its dtype; or a sequence of as many tensors, at most 65,536. Of a sequence, all
            are calculated before the first target is changed, and nothing is changed if one does
            not fit.
        alpha: a factor; in a graph, each value is compiled anew.
    """
    if isinstance(handle, Tensor):
        _check("handle_guarded_add_", "other", other)
        _default.handle_guarded_add_(handle, other, alpha)
        return
    handles = sequence("handle_guarded_add_: handle", handle, Tensor)
    others = sequence("handle_guarded_add_: other", other, Tensor)
    if len(others) != len(handles):
        raise RuntimeError(
            f"handle_guarded_add_: other must have {len(handles)} elements like handle, "
            f"got {len(others)}"
        )
    if handles:
        _guarded_add_list(handles[0], handles[1:], others, alpha)


def _check(op: str, name: str, value: object) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"{op}: {name} must be a tensor, got {type(value).__name__}")
