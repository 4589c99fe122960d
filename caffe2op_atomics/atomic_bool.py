"""A flag that many threads and processes set and read."""

from __future__ import annotations

import torch
from torch import Tensor

from ._shared import SharedObject
from ._shared_file import ATOMIC_BOOL

_load = torch.ops.atomics.load.int
_store = torch.ops.atomics.store_.int
_conditional_set = torch.ops.atomics.conditional_set_atomic_bool.default


class AtomicBool(SharedObject):
    """A shared flag with the names of ``multiprocessing.Event``; starts false.

    Setting and reading never block and are sequentially consistent: what a thread wrote before it
    set the flag is visible to whoever sees the flag set. The tensor inside is an int32 of shape
    ``[1]``, as ``torch.ops.atomics.create_atomic_bool`` makes.

    Args:
        name: attach to the flag of this name, **which stays as it is**, or create it if there is
            none: for processes of one user on one host that have no common parent. It stays in
            /dev/shm until :meth:`unlink`.

    Raises:
        TypeError, ValueError: if ``name`` is not 1 to 200 characters of ``A-Z a-z 0-9 . _ -``.
        RuntimeError: if ``name`` means something else than a flag of this package.

    Example:
        >>> stop = AtomicBool()
        >>> stop.set_if(2 > 1)
        >>> stop.is_set()
        True
    """

    _kind = ATOMIC_BOOL

    def __init__(self, *, name: str | None = None) -> None:
        self._obtain(name, lambda memory: _store(memory, 0))

    def set(self) -> None:
        """Make the flag true."""
        _store(self._cell(), 1)

    def clear(self) -> None:
        """Make the flag false."""
        _store(self._cell(), 0)

    def set_if(self, condition: bool | Tensor) -> None:
        """Make the flag true if ``condition`` is true, and leave it alone if it is not.

        Args:
            condition: a bool, or a CPU bool tensor with one element.

        Raises:
            TypeError: if ``condition`` is neither.
            RuntimeError: if a tensor has another dtype, device or number of elements.
        """
        if isinstance(condition, Tensor):
            _conditional_set(self._cell(), condition)
        elif isinstance(condition, bool):
            if condition:
                self.set()
        else:
            raise TypeError(
                f"set_if: condition must be a bool or a bool tensor, got {type(condition).__name__}"
            )

    def is_set(self) -> bool:
        """Return whether the flag is true."""
        return bool(_load(self._cell()))

    def __bool__(self) -> bool:
        return self.is_set()

    def __repr__(self) -> str:
        return f"AtomicBool(is_set={self.is_set()})"
