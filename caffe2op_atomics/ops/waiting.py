"""Waiting for a change of one element.

The contract is in the docstring of :mod:`caffe2op_atomics.ops`, but for the dtypes.
"""

from __future__ import annotations

import math
import numbers
import time

import torch
from torch import Tensor

_wait = torch.ops.atomics.wait.default
_notify = torch.ops.atomics.notify.default

_SLICE = 0.05  # seconds in C++ between two looks at pending signals, such as Ctrl-C
_ALL = 2**31 - 1  # more than the kernel has threads


def wait(target: Tensor, old: int, timeout: float = -1) -> bool:
    """Block until ``target`` differs from ``old``; return False if ``timeout`` passes first.

    Returns at once if it differs already. What was written before the change is then visible. Wakes
    in microseconds where the change is followed by :func:`notify`, in this process or another, and
    within 50 ms where it is not. A change that is undone at once may not be seen.

    Can be interrupted by signals (Ctrl-C) within 50 ms; the op itself waits for all of ``timeout``.

    Args:
        target: one element, int32 or int64.
        old: an integer that fits in target's dtype.
        timeout: how long to wait, in seconds; a negative one waits for ever.

    Raises:
        RuntimeError: also if target loses its memory meanwhile.
        TypeError, ValueError: if ``old`` is not such an integer, or ``timeout`` not a number.

    Example:
        >>> flag = torch.zeros(1, dtype=torch.int32).share_memory_()
        >>> wait(flag, 0, timeout=0.1)
        False
        >>> wait(flag, 1)
        True
    """
    _check("wait", target, "old", old)
    # Other dtypes are refused by the op.
    if target.dtype in (torch.int32, torch.int64):
        limits = torch.iinfo(target.dtype)
        if not limits.min <= old <= limits.max:
            dtype = str(target.dtype).removeprefix("torch.")
            raise ValueError(f"wait: old must fit in {dtype}, got {old}")
    if not isinstance(timeout, numbers.Real):
        raise TypeError(f"wait: timeout must be a number, got {type(timeout).__name__}")
    if math.isnan(timeout):
        raise ValueError("wait: timeout must be a number of seconds, got nan")
    deadline = time.monotonic() + timeout
    while True:
        left = _SLICE if timeout < 0 else max(deadline - time.monotonic(), 0)
        if _wait(target, old, min(left, _SLICE)):
            return True
        if timeout >= 0 and left <= _SLICE:
            return False


def notify(target: Tensor, count: int = -1) -> int:
    """Wake up to ``count`` of those who :func:`wait` for ``target``; return how many were woken.

    Call it after the change. Who is woken and finds ``target`` unchanged waits on.

    Args:
        target: one element, int32 or int64.
        count: how many to wake at most; a negative one wakes all.

    Example:
        >>> flag = torch.zeros(1, dtype=torch.int32).share_memory_()
        >>> torch.ops.atomics.store_.int(flag, 1)
        >>> notify(flag)  # nobody waits
        0
    """
    _check("notify", target, "count", count)
    return int(_notify(target, min(max(count, -1), _ALL)))


def _check(op: str, target: Tensor, name: str, value: int) -> None:
    if not isinstance(target, Tensor):
        raise TypeError(f"{op}: target must be a tensor, got {type(target).__name__}")
    if not isinstance(value, numbers.Integral):
        raise TypeError(f"{op}: {name} must be an integer, got {type(value).__name__}")
