"""A number that many threads and processes count with."""

from __future__ import annotations

import operator
from typing import NoReturn

import torch

from ._shared import SharedObject
from ._shared_file import COUNTER

_load = torch.ops.atomics.load.int
_store = torch.ops.atomics.store_.int
_fetch_add = torch.ops.atomics.fetch_add.int
_add = torch.ops.atomics.add_.int
_sub = torch.ops.atomics.sub_.int


def _int64(n: int) -> int:
    n = operator.index(n)
    if not -(2**63) <= n < 2**63:
        raise OverflowError(f"Counter: a number must fit in int64, got {n}")
    return n


class Counter(SharedObject):
    """An exact 64-bit counter, shared by all threads and processes that hold it.

    Every operation is atomic and sequentially consistent; counting wraps at 2**63. Send it to
    other processes as an argument of a torch.multiprocessing process or through a queue; plain
    pickle and copy raise TypeError.

    Args:
        initial: the first value, an integer that fits in int64.
        name: attach to the counter of this name, **which keeps its value**, or create it with
            ``initial`` if there is none: for processes of one user on one host that have no
            common parent. It stays in /dev/shm until :meth:`unlink`.

    Raises:
        TypeError: if a number is not an integer.
        OverflowError: if a number does not fit in int64.
        ValueError: if ``name`` is not 1 to 200 characters of ``A-Z a-z 0-9 . _ -``.
        RuntimeError: if ``name`` means something else than a counter of this package.

    Example:
        >>> counter = Counter(10)
        >>> counter.next()
        10
        >>> counter += 5
        >>> counter.value
        16
    """

    _kind = COUNTER

    def __init__(self, initial: int = 0, *, name: str | None = None) -> None:
        initial = _int64(initial)
        self._obtain(name, lambda memory: _store(memory, initial))

    def next(self) -> int:
        """Add 1 and return the value before: a ticket that nobody else gets."""
        return int(_fetch_add(self._cell(), 1))

    def fetch_add(self, n: int) -> int:
        """Add ``n`` and return the value before."""
        return int(_fetch_add(self._cell(), _int64(n)))

    def __iadd__(self, n: int) -> Counter:
        _add(self._cell(), _int64(n))
        return self

    def __isub__(self, n: int) -> Counter:
        _sub(self._cell(), _int64(n))
        return self

    @property
    def value(self) -> int:
        """The value now. Read-only: ``counter.value += 1`` would be a racy read and write."""
        return int(_load(self._cell()))

    @value.setter
    def value(self, _: int) -> NoReturn:
        raise AttributeError(
            "Counter.value is read-only, because setting it would lose what others count; "
            "use counter += n, counter.fetch_add(n) or counter.next()"
        )

    def __bool__(self) -> NoReturn:
        raise TypeError("a Counter is neither true nor false; compare counter.value")

    def __repr__(self) -> str:
        return f"Counter(value={self.value})"
