"""The ops on tensors, looked up once: ``default.add_`` is ``torch.ops.atomics.add_.default``.

That saves some 0.2 us of a call, and dynamo of torch 2.14 follows it where it would lose the reason
of a graph break on the way. ``in_scope["device"].add_`` is the same op, atomic for the kernels of
one GPU: no argument of an op, which is the same on the CPU, but a state of the calling thread.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Literal, TypeAlias

import torch

from .. import _library

Scope: TypeAlias = Literal["system", "device"]

default = SimpleNamespace(
    **{
        name: getattr(torch.ops.atomics, name).default
        for name in _library.op_names()
        if "." not in name
    }
)


def _for_one_device(op: Callable[..., Any]) -> Callable[..., Any]:
    if _library.cuda_library is None:
        return op
    set_device_scope = _library.cuda_library.atomics_set_device_scope

    def call(*args: Any) -> Any:
        set_device_scope(1)
        try:
            return op(*args)
        finally:
            set_device_scope(0)

    return call


class _Unknown:
    def __init__(self, scope: object) -> None:
        self._scope = scope

    def __getattr__(self, op: str) -> Any:
        raise ValueError(f"{op}: scope must be 'system' or 'device', got {self._scope!r}")


class _Scopes(dict[str, Any]):
    def __missing__(self, scope: object) -> _Unknown:
        return _Unknown(scope)


in_scope = _Scopes(
    system=default,
    device=SimpleNamespace(**{name: _for_one_device(op) for name, op in vars(default).items()}),
)
