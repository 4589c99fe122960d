"""What the methods of the classes are in a compiled graph: ops on the handle of the object.

They return numbers as elsewhere. Where a graph cannot go on with a number that it does not know
(``if counter.next() == 3:``), dynamo breaks it and calls the method itself. It may also run what is
here outside of a graph, so that all of it has to be right there, too.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .ops._operand import Number, operand
from .ops._overloads import default as _default

if TYPE_CHECKING:
    from ._shared import SharedObject
    from .guarded_tensor import GuardedTensor


def next_ticket(self: SharedObject) -> int:
    return fetch_add(self, 1)


def fetch_add(self: SharedObject, n: int, /) -> int:
    if not isinstance(n, int):  # which torch.full would make one of
        torch._dynamo.graph_break(msg="Counter: n must be an int in a graph")
        n = operator.index(n)
    return _number(_default.handle_fetch_add(self._handle, _cell(n, torch.int64)))


def fetch_sub(self: SharedObject, n: int, /) -> int:
    return fetch_add(self, -n)


def load(self: SharedObject) -> int:
    return _number(_default.handle_load(self._handle, [], torch.int64))


def set_flag(self: SharedObject) -> None:
    _default.handle_store_(self._handle, _cell(1, torch.int32))


def clear_flag(self: SharedObject) -> None:
    _default.handle_store_(self._handle, _cell(0, torch.int32))


def is_set(self: SharedObject) -> bool:
    return _number(_default.handle_load(self._handle, [], torch.int32)) != 0


def guarded_add_(self: GuardedTensor, other: Tensor | Number, alpha: Number) -> None:
    if not isinstance(other, Tensor):
        other = _operand_of(self, other)
    _default.handle_guarded_add_(self._handle, other, alpha)


def _operand_of(self: GuardedTensor, number: Number) -> Tensor:
    dtype = self._data.dtype
    # Of a number that the graph does not know, nothing else can be asked.
    if dtype.is_floating_point or (dtype == torch.int64 and isinstance(number, int)):
        return _cell(number, dtype)
    torch._dynamo.graph_break(msg=f"GuardedTensor.add_: other must fit in {dtype}")
    return operand("guarded_add_", "other", number, self._data)


def breaking(original: Callable[..., Any], text: str) -> Callable[..., Any]:
    """Return what a method is that breaks the graph, and why."""

    def method(self: SharedObject, *args: object, **keywords: object) -> Any:
        torch._dynamo.graph_break(msg=text)
        return original(self, *args, **keywords)

    return method


def _cell(n: Number, dtype: torch.dtype) -> Tensor:
    return torch.full((), n, dtype=dtype, device="cpu")


def _number(tensor: Tensor) -> int:
    # Whether the caller's own .item() may stand in a graph is the caller's choice.
    with torch._dynamo.patch_dynamo_config(capture_scalar_outputs=True):
        return int(tensor.item())
