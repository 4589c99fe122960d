"""Handles that live as long as the object whose memory they name."""

from __future__ import annotations

import ctypes
import weakref

import torch
from torch import Tensor

from . import _library

_handle = torch.ops.atomics.handle.default
_handle_guarded = torch.ops.atomics.handle.guarded

# Not the op: an object may end while torch traces in its thread, which would take it for a part.
_release = ctypes.CDLL(_library.library_path()).atomics_release_handle
_release.argtypes, _release.restype = [ctypes.c_int64], None

# Who sleeps on the target, see csrc/cpu/handles.h.
NOBODY, OF_COUNTER, OF_FLAG = 0, 1, 2


def of_cell(owner: object, cell: Tensor, sleepers: int) -> Tensor:
    """Return a handle of one element, whose sleepers the ops on it wake."""
    with torch.inference_mode(False):  # or a graph may not change it
        return _kept(owner, _handle(cell, sleepers))


def of_guarded(owner: object, bank: Tensor, target: Tensor, first: int) -> Tensor:
    """Return a handle of a guarded tensor."""
    with torch.inference_mode(False):
        return _kept(owner, _handle_guarded(bank, target, first))


def _kept(owner: object, handle: Tensor) -> Tensor:
    weakref.finalize(owner, _release, int(handle)).atexit = False
    return handle
