"""Keeps the ops out of compiled graphs, where torch may run them on a clone of their target.

A graph break runs the op eagerly, on the caller's tensor; the methods of the optimizers, too.
``torch._dynamo`` costs most of a second to import, so they are marked when it is first imported, or
at once if it already is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import torch

from . import _library, _partition, _refusals, _traced
from ._cells import WHY_SLOW, CounterCell, FlagCell, MutexCell, set_exporting
from .counter import Counter

_WAITS = "waits, which a graph cannot: call it outside of the compiled function"
_LOCK = "belongs to a lock, which has no place in a graph: torch moves reads and writes past it"
_BREAKING: dict[Callable[..., Any], str] = {
    CounterCell.wait_until: f"Counter.wait_until {_WAITS}",
    FlagCell.wait: f"AtomicBool.wait {_WAITS}",
    FlagCell.set_if: (
        "AtomicBool.set_if has no form in a graph: return the condition and call it outside, "
        "or set()"
    ),
    **{
        getattr(MutexCell, name): f"Mutex.{name} {_LOCK}"
        for name in ("acquire", "release", "consistent", "locked", "owner")
    },
}


def install() -> None:
    """Prepare the compiler now if it is imported, or as soon as it is."""
    sys.meta_path.insert(0, _Finder())
    for name in _AFTER_IMPORT.keys() & sys.modules.keys():
        _AFTER_IMPORT[name]()


def _prepare_dynamo() -> None:
    namespace = getattr(torch.ops, _library.NAMESPACE)
    for name in {name.split(".")[0] for name in _library.op_names()}:
        packet = getattr(namespace, name)
        if name in _refusals.FOR_GRAPHS:
            continue
        for op in (packet, *(getattr(packet, overload) for overload in packet.overloads())):
            torch._dynamo.disallow_in_graph(op)
            # As torch.compiler.disable(reason=...) marks a function, which an op is not: without
            # it, dynamo warns of the break and does not say why.
            op._torchdynamo_disable = True
            op._torchdynamo_disable_msg = _refusals.reason(name)
    # dynamo knows the optimizers of torch by heart, and takes ours for such.
    torch._dynamo.trace_rules.add(f"{__package__}.optim")
    _refusals.install_in_compiler()
    _substitute()
    _watch_exports()


def _substitute() -> None:
    """Tell dynamo what the methods of the fast path are in a graph."""
    if WHY_SLOW is not None:
        return  # those in Python see for themselves
    methods: dict[Callable[..., Any], Callable[..., Any]] = {
        CounterCell.next: _traced.next_ticket,
        CounterCell.fetch_add: _traced.fetch_add,
        CounterCell.fetch_sub: _traced.fetch_sub,
        CounterCell._load: _traced.load,
        FlagCell.set: _traced.set_flag,
        FlagCell.clear: _traced.clear_flag,
        FlagCell.is_set: _traced.is_set,
        **{method: _traced.breaking(method, text) for method, text in _BREAKING.items()},
    }
    for method, traced in methods.items():
        torch.compiler.substitute_in_graph(method, skip_signature_check=True)(traced)
    # It takes no substitute for an operator in C.
    Counter.__iadd__ = _add_in_place  # type: ignore[method-assign,assignment]
    Counter.__isub__ = _subtract_in_place  # type: ignore[method-assign,assignment]


# As those in C, they do not call what a subclass has for fetch_add.


def _add_in_place(self: Counter, n: int, /) -> Counter:
    if torch.compiler.is_dynamo_compiling():
        _traced.fetch_add(self, n)
    else:
        CounterCell.fetch_add(self, n)
    return self


def _subtract_in_place(self: Counter, n: int, /) -> Counter:
    if torch.compiler.is_dynamo_compiling():
        _traced.fetch_sub(self, n)
    else:
        CounterCell.fetch_sub(self, n)
    return self


class _Compiler(ModuleType):
    """torch.compiler, which tells the fast path of exports."""

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name == "_is_exporting_flag":
            set_exporting(bool(value))


def _watch_exports() -> None:
    torch.compiler.__class__ = _Compiler


# What is to be done once these are imported.
_AFTER_IMPORT = {
    "torch._dynamo": _prepare_dynamo,
    "torch._functorch.partitioners": _partition.install,
}


class _Finder(MetaPathFinder):
    """Finds nothing itself: it has something done after the import of what others find.

    It stays for good: a list that shrinks hides a finder from another thread's import.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _AFTER_IMPORT:
            return None
        found = (
            finder.find_spec(fullname, path, target)
            for finder in sys.meta_path
            if finder is not self and hasattr(finder, "find_spec")
        )
        spec = next(filter(None, found), None)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            _AFTER_IMPORT[fullname]()

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
