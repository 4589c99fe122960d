"""Counters and flags in the memory of a GPU: over the ops, and so in the order of torch's stream.

What returns a number waits for the stream. In a compiled function, the methods break the graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from . import _named, _slow_cells
from ._cells import WHY_SLOW
from ._shared import SharedObject
from .atomic_bool import AtomicBool
from .counter import Counter

_store = torch.ops.atomics.store_.int
_or = torch.ops.atomics.or_.default

# Those are the base already where there is no fast path.
if TYPE_CHECKING or WHY_SLOW is None:

    class _CounterBase(_slow_cells.CounterCell, Counter):
        pass

    class _FlagBase(_slow_cells.FlagCell, AtomicBool):
        pass

else:
    _CounterBase, _FlagBase = Counter, AtomicBool


class _OnGpu(SharedObject):
    def _bind(self, address: int, nbytes: int, /) -> None:
        """Nothing here is reached by address."""

    def _adopt(self, tensor: Tensor, file: _named.NamedFile | None = None) -> None:
        SharedObject._adopt(self, tensor, file)  # without a handle, which is of the CPU


class GpuCounter(_OnGpu, _CounterBase):
    """What ``Counter(tensor=...)`` makes of a CUDA tensor."""


class GpuFlag(_OnGpu, _FlagBase):
    """What ``AtomicBool(tensor=...)`` makes of a CUDA tensor."""

    def set(self) -> None:
        """Make the flag true."""
        _store(self._now(), 1)

    def _set_if_other(self, condition: object) -> None:
        if not isinstance(condition, Tensor):
            return super()._set_if_other(condition)
        rules = [
            (condition.dtype == torch.bool, "have dtype bool", condition.dtype),
            (condition.numel() == 1, "have one element", f"shape {list(condition.shape)}"),
            (
                condition.device == self._tensor.device,
                f"be on {self._tensor.device} like the flag",
                condition.device,
            ),
        ]
        for holds, rule, actual in rules:
            if not holds:
                actual = str(actual).removeprefix("torch.")
                raise RuntimeError(f"set_if: condition must {rule}, got {actual}")
        _or(self._now(), condition.view(1).to(torch.int32))
