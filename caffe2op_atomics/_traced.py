"""What the methods of the classes are in a compiled graph: ops on the handle of the object.

They return numbers as elsewhere. Where a graph cannot go on with a number that it does not know
(``if counter.next() == 3:``), dynamo breaks it and calls the method itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .ops._operand import Number, operand

if TYPE_CHECKING:
    from ._shared import SharedObject
    from .counter import Counter
    from .guarded_tensor import GuardedTensor

_ops = torch.ops.atomics


def next_ticket(self: SharedObject) -> int:
    return fetch_add(self, 1)


def fetch_add(self: SharedObject, n: int, /) -> int:
    return _number(_ops.handle_fetch_add.default(self._handle, torch.full((), n)))


def fetch_sub(self: SharedObject, n: int, /) -> int:
    return fetch_add(self, -n)


def add_in_place(self: Counter, n: int, /) -> Counter:
    self.fetch_add(n)
    return self


def subtract_in_place(self: Counter, n: int, /) -> Counter:
    self.fetch_sub(n)
    return self


def load(self: SharedObject) -> int:
    return _number(_ops.handle_load.default(self._handle, [], torch.int64))


def set_flag(self: SharedObject) -> None:
    _ops.handle_store_.default(self._handle, torch.ones((), dtype=torch.int32))


def clear_flag(self: SharedObject) -> None:
    _ops.handle_store_.default(self._handle, torch.zeros((), dtype=torch.int32))


def is_set(self: SharedObject) -> bool:
    return _number(_ops.handle_load.default(self._handle, [], torch.int32)) != 0


def guarded_add_(self: GuardedTensor, other: Tensor | Number, alpha: Number) -> None:
    other = operand("guarded_add_", "other", other, self._data)
    _ops.handle_guarded_add_.default(self._handle, other, alpha)


def _number(tensor: Tensor) -> int:
    # Whether the caller's own .item() may stand in a graph is the caller's choice.
    with torch._dynamo.patch_dynamo_config(capture_scalar_outputs=True):
        return int(tensor.item())
