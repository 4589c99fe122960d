"""A number that many threads and processes count with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import torch
from torch import Tensor

from . import _handles, _named
from ._arguments import int64
from ._cells import CounterCell
from ._shared import SharedObject, on_gpu
from ._shared_file import COUNTER

_store = torch.ops.atomics.store_.int


class ReadOnlyValue:
    """What a Counter has as a number: a value that nobody sets, and no truth."""

    if TYPE_CHECKING:

        def _load(self) -> int: ...

    # In Python, for dynamo: it takes a property of an extension module for a constant.
    @property
    def value(self) -> int:
        """The value now. Read-only: ``counter.value += 1`` would be a racy read and write."""
        return self._load()

    @value.setter
    def value(self, _: NoReturn) -> NoReturn:
        raise AttributeError(
            "Counter.value is read-only, because setting it would lose what others count; "
            "use counter += n, counter.fetch_add(n) or counter.next()"
        )

    def __bool__(self) -> NoReturn:
        raise TypeError("a Counter is neither true nor false; compare counter.value")


class Counter(CounterCell, ReadOnlyValue, SharedObject):
    """An exact 64-bit counter, shared by all threads and processes that hold it.

    Every operation is atomic and sequentially consistent; counting wraps at 2**63. Send it to
    other processes as an argument of a torch.multiprocessing process or through a queue; plain
    pickle and copy raise TypeError.

    ``wait_until(n, timeout=None)`` blocks until the value is at least ``n`` and returns True, or
    False if ``timeout`` seconds pass first. It wakes when a Counter counts that far, sees within
    50 ms what others write to the tensor, and can be interrupted by signals (Ctrl-C) as fast.

    Args:
        initial: the first value, an integer that fits in int64; 0 by default.
        name: attach to the counter of this name, **which keeps its value**, or create it with
            ``initial`` if there is none: for processes of one user on one host that have no
            common parent. It stays in /dev/shm until :meth:`unlink`.
        tensor: shared memory to count in, whose value is kept: an int64 of one element, where
            wait_until looks every millisecond because nobody wakes it, or the eight zeros of a
            line of its own. Or one on a GPU (docs/cuda.md).

    Raises:
        TypeError: if a number is not an integer, or ``tensor`` is not given alone.
        OverflowError: if a number does not fit in int64.
        ValueError: if a timeout is negative but not -1 (which is as None), or ``name`` is not 1 to
            200 characters of ``A-Z a-z 0-9 . _ -``.
        RuntimeError: if ``name`` means something else than a counter of this package, or ``tensor``
            cannot be counted in, for example because it is not shared.

    Example:
        >>> counter = Counter(10)
        >>> counter.next()
        10
        >>> counter += 5
        >>> counter.fetch_add(2), counter.fetch_sub(1), counter.value
        (16, 18, 17)
        >>> counter.wait_until(17), counter.wait_until(18, timeout=0.1)
        (True, False)
    """

    _kind = COUNTER

    def __init__(
        self, initial: int = 0, *, name: str | None = None, tensor: Tensor | None = None
    ) -> None:
        if isinstance(initial, str):
            raise TypeError(f"Counter: initial must be an integer, got a str (name={initial!r}?)")
        initial = int64(initial)
        if tensor is not None and initial != 0:
            raise TypeError(f"Counter: initial must not be given with tensor, got {initial}")
        if type(self) is Counter and on_gpu(self._kind, tensor):
            from ._gpu import GpuCounter

            self.__class__ = GpuCounter
        self._obtain(name, tensor, lambda memory: _store(memory[:1], initial))

    def _adopt(self, tensor: Tensor, file: _named.NamedFile | None = None) -> None:
        super()._adopt(tensor, file)
        sleepers = _handles.OF_COUNTER if tensor.numel() > 1 else _handles.NOBODY
        self._handle = _handles.of_cell(self, tensor.view(-1)[0], sleepers)

    @property
    def tensor(self) -> Tensor:
        """The value, an int64 of shape ``[1]``, for the registered ops. Plain writes race."""
        return super().tensor.view(-1)[:1]

    def __repr__(self) -> str:
        return self._shown(f"value={self.value}")
