"""A flag that many threads and processes set and read."""

from __future__ import annotations

import sys

import torch
from torch import Tensor

from . import _handles, _named
from ._arguments import errors_of
from ._cells import FlagCell
from ._shared import SharedObject, on_gpu
from ._shared_file import ATOMIC_BOOL

_store = torch.ops.atomics.store_.int
_conditional_set = torch.ops.atomics.conditional_set_atomic_bool.default


class AtomicBool(FlagCell, SharedObject):
    """A shared flag with the methods of ``multiprocessing.Event``; starts false.

    Setting and reading never block and are sequentially consistent: what a thread wrote before it
    set the flag is visible to whoever sees the flag set. ``set_if(condition)`` sets it if the
    condition, a bool (numpy's, too) or a CPU bool tensor with one element, is true, and leaves it
    alone if not. ``wait(timeout=None)`` blocks until it is set and returns True, or False if
    ``timeout`` seconds pass first, at once if it is negative; signals (Ctrl-C) interrupt it within
    50 ms. The tensor inside is an int32 of shape ``[1]``, as
    ``torch.ops.atomics.create_atomic_bool`` makes.

    There is no test-and-set: to find who is first, take a ticket, ``Counter().next() == 0``.

    Args:
        name: attach to the flag of this name, **which stays as it is**, or create it if there is
            none: for processes of one user on one host that have no common parent. It stays in
            /dev/shm until :meth:`unlink`.
        tensor: shared memory for the flag, whose value is kept: an int32 of one element. Or one on
            a GPU (docs/cuda.md), where conditions that are tensors have to be, too.

    Raises:
        TypeError, ValueError: if a condition is neither a bool nor a tensor, or a timeout not a
            number.
        TypeError, ValueError: if ``name`` is not 1 to 200 characters of ``A-Z a-z 0-9 . _ -``.
        RuntimeError: if ``name`` means something else than a flag of this package, or a tensor has
            another dtype, device or number of elements, or ``tensor`` is not shared.

    Example:
        >>> stop = AtomicBool()
        >>> stop.wait(timeout=0.1)
        False
        >>> stop.set_if(2 > 1)
        >>> stop.is_set(), stop.wait()
        (True, True)
    """

    _kind = ATOMIC_BOOL

    def __init__(self, *, name: str | None = None, tensor: Tensor | None = None) -> None:
        if type(self) is AtomicBool and on_gpu(self._kind, tensor):
            from ._gpu import GpuFlag

            self.__class__ = GpuFlag
        self._obtain(name, tensor, lambda memory: _store(memory, 0))

    def _adopt(self, tensor: Tensor, file: _named.NamedFile | None = None) -> None:
        super()._adopt(tensor, file)
        self._handle = _handles.of_cell(self, tensor.view(()), _handles.OF_FLAG)

    def _set_if_other(self, condition: object) -> None:
        """What the cell calls for a condition that is no bool."""
        numpy = sys.modules.get("numpy")
        if numpy is not None and isinstance(condition, numpy.bool_):
            self.set_if(bool(condition))
        elif isinstance(condition, Tensor):
            with errors_of("conditional_set_atomic_bool", "set_if"):
                _conditional_set(self.tensor, condition)
        else:
            raise TypeError(
                f"set_if: condition must be a bool or a bool tensor, got {type(condition).__name__}"
            )

    def __repr__(self) -> str:
        return self._shown(f"is_set={self.is_set()}")
