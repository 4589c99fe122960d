"""What no transform and no trace may do with the ops: refused in our words, before anything runs.

A program that torch makes of a function holds copies of tensors where it can, and results instead
of calls. An op on memory that others share cannot stand for either.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import torch

from . import _library

_WAY_OUT = (
    "use ops on handles, or those methods of Counter, AtomicBool and GuardedTensor that take "
    "theirs (docs/compile.md)"
)

# Of each op but those on handles, which a program may copy as it likes.
FOR_GRAPHS = frozenset(
    {
        "handle_after",
        "handle_load",
        "handle_store_",
        "handle_add_",
        "handle_fetch_add",
        "handle_guarded_add_",
    }
)


def reason(op: str) -> str:
    """Return why an op has no place in a graph, and what to do."""
    if op.startswith("mutex_") or op == "create_mutex":
        return f"{op}: a lock has no place in a graph, which would move reads and writes past it"
    if op.startswith("handle"):
        return f"{op} changes what handles mean: call it outside of the compiled function"
    why = f"{op} must run on the caller's own memory, which a graph would copy"
    if f"handle_{op}" not in FOR_GRAPHS:
        return f"{why}, and has no form on handles: call it outside of the compiled function"
    return f"{why}; for one graph, {_WAY_OUT}: here, ops.handle_{op}"


# Keeps what is registered alive.
_registrations = torch.library.Library(_library.NAMESPACE, "IMPL")


def install() -> None:
    """Register what can be without an import of the compiler."""
    for name in _library.op_names():
        batched = _raising(
            f"{_packet(name)}: arguments must not be batched by torch.vmap, got one that is; "
            "a call on the whole tensor updates each element"
        )
        _registrations.impl(name, batched, "FuncTorchBatched")
        if _packet(name) not in FOR_GRAPHS:
            functional = _raising(f"{reason(_packet(name))} (torch.func.functionalize)")
            _registrations.impl(name, functional, "Functionalize")
        if returns_numbers(_overload(name)):
            text = f"{name} must not be traced, as its number would be baked in; {_WAY_OUT}"
            torch.library.register_fake(f"{_library.NAMESPACE}::{name}", _raising(text))


def install_in_compiler() -> None:
    """Register what needs torch's compiler, which somebody has just imported."""
    from torch._subclasses.functional_tensor import FunctionalTensorMode

    for name in _library.op_names():
        if _packet(name) not in FOR_GRAPHS:
            torch.library.register_torch_dispatch(
                f"{_library.NAMESPACE}::{name}",
                FunctionalTensorMode,
                _raising(reason(_packet(name))),
            )


def _packet(name: str) -> str:
    return name.split(".")[0]


def check_not_recorded(what: str) -> None:
    """Raise while the calling thread records a program, which would hold numbers of just now.

    Raises:
        RuntimeError: if it does.
    """
    key = torch._C._TorchDispatchModeKey.PROXY
    recorder = torch._C._get_dispatch_mode(key)
    if recorder is None and torch.compiler.is_exporting():
        recorder = torch._ops._get_dispatch_mode_pre_dispatch(key)
    if recorder is not None:
        raise RuntimeError(
            f"{what} must not be recorded by torch.export or make_fx, whose program would hold the "
            "numbers of just now: call it outside"
        )


def returns_numbers(overload: Any) -> bool:
    """Return whether an op returns numbers, which a trace would bake into its program."""
    return any(not isinstance(each.type, torch.TensorType) for each in overload._schema.returns)


def _overload(name: str) -> Any:
    packet, _, overload = name.partition(".")
    return getattr(getattr(getattr(torch.ops, _library.NAMESPACE), packet), overload or "default")


def _raising(text: str) -> Callable[..., NoReturn]:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise RuntimeError(text)

    return refuse
