"""Caffe2's atomic ops under torch; see docs/coming_from/caffe2.md for the way from there to here.

The names are those of the registered ops. What they promise is Caffe2's, in particular the order
of results: **new value first, old value second**, the reverse of ``ops.fetch_add``. A mutex locked
here recovers from the death of its holder: an update is one store, made or not.
"""

from __future__ import annotations

from torch import Tensor

from .ops._overloads import default as _default

__all__ = [
    "atomic_fetch_add",
    "atomic_fetch_add64",
    "atomic_iter",
    "check_atomic_bool",
    "conditional_set_atomic_bool",
    "create_atomic_bool",
    "create_mutex",
]


def create_mutex(n: int = 1) -> Tensor:
    """Return ``n`` new, unlocked mutexes: a uint8 tensor of shape ``[n, 128]``.

    It is shared by threads and by processes forked after this; it cannot be sent to others and is
    never saved (use :class:`caffe2op_atomics.Mutex` for that, or create a new one after a load).

    Args:
        n: from 1 to 1024.

    Raises:
        RuntimeError: if ``n`` is out of range.
    """
    return _default.create_mutex(n)


def atomic_fetch_add(mutex: Tensor, mut_value: Tensor, increment: Tensor) -> tuple[Tensor, Tensor]:
    """Add ``increment`` to ``mut_value`` under ``mutex``; return the new and the old value.

    Blocks until the mutex is free, and is not interrupted by signals. The sum wraps on overflow.

    Args:
        mutex: made by :func:`create_mutex`; not held by the calling thread.
        mut_value: int32, one element. Changed in place.
        increment: int32, one element.

    Returns:
        Two int32 tensors of shape ``[]``: the new value, then the old one.

    Raises:
        RuntimeError: for another dtype, device or number of elements, or a mutex that cannot be
            locked; nothing is changed then.

    Example:
        >>> value = torch.tensor(20, dtype=torch.int32)
        >>> atomic_fetch_add(create_mutex(), value, torch.tensor(-1, dtype=torch.int32))
        (tensor(19, dtype=torch.int32), tensor(20, dtype=torch.int32))
    """
    new, old = _default.atomic_fetch_add(mutex, mut_value, increment)
    return new, old


def atomic_fetch_add64(
    mutex: Tensor, mut_value: Tensor, increment: Tensor
) -> tuple[Tensor, Tensor]:
    """Do what :func:`atomic_fetch_add` does, for int64 values.

    Example:
        >>> atomic_fetch_add64(create_mutex(), torch.tensor(20), torch.tensor(-1))
        (tensor(19), tensor(20))
    """
    new, old = _default.atomic_fetch_add64(mutex, mut_value, increment)
    return new, old


def create_atomic_bool() -> Tensor:
    """Return a new flag, false: an int32 tensor of shape ``[1]``.

    It is shared by threads and by processes forked after this; use
    :class:`caffe2op_atomics.AtomicBool` for one that can be sent.
    """
    return _default.create_atomic_bool()


def conditional_set_atomic_bool(atomic_bool: Tensor, condition: Tensor) -> None:
    """Set the flag if ``condition`` is true; do nothing if it is false.

    Args:
        atomic_bool: made by :func:`create_atomic_bool`. Changed in place.
        condition: bool, one element.

    Raises:
        RuntimeError: for another dtype, device or number of elements.
    """
    _default.conditional_set_atomic_bool(atomic_bool, condition)


def check_atomic_bool(atomic_bool: Tensor) -> Tensor:
    """Return the flag as a bool tensor of shape ``[1]``.

    Example:
        >>> flag = create_atomic_bool()
        >>> conditional_set_atomic_bool(flag, torch.tensor(True))
        >>> check_atomic_bool(flag)
        tensor([True])
    """
    return _default.check_atomic_bool(atomic_bool)


def atomic_iter(mutex: Tensor, iter: Tensor) -> Tensor:  # noqa: A002  (Caffe2's name)
    """Add 1 to ``iter`` under ``mutex`` and return the new value.

    Blocks until the mutex is free, and is not interrupted by signals.

    Args:
        mutex: made by :func:`create_mutex`; not held by the calling thread.
        iter: int64, one element, from 0 to 2**63 - 2. Changed in place.

    Returns:
        A tensor like ``iter``.

    Raises:
        RuntimeError: if ``iter`` has another dtype or size, is negative, or would overflow;
            nothing is changed then.

    Example:
        >>> atomic_iter(create_mutex(), torch.tensor([7]))
        tensor([8])
    """
    return _default.atomic_iter(mutex, iter)
