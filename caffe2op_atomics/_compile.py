"""Keeps the ops out of compiled graphs, where torch may run them on a clone of their target.

A graph break runs the op eagerly, on the caller's tensor; the methods of the optimizers, too.
``torch._dynamo`` costs most of a second to import, so they are marked when it is first imported, or
at once if it already is.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

import torch

from . import _library

_DYNAMO = "torch._dynamo"


def install() -> None:
    """Mark the ops now if dynamo is imported, or as soon as it is."""
    if _DYNAMO in sys.modules:
        _keep_out_of_graphs()
    else:
        sys.meta_path.insert(0, _DynamoFinder())


def _keep_out_of_graphs() -> None:
    namespace = getattr(torch.ops, _library.NAMESPACE)
    packets = {getattr(namespace, name.split(".")[0]) for name in _library.op_names()}
    for packet in packets:
        for op in (packet, *(getattr(packet, overload) for overload in packet.overloads())):
            torch._dynamo.disallow_in_graph(op)
    # dynamo knows the optimizers of torch by heart, and takes ours for such.
    torch._dynamo.trace_rules.add(f"{__package__}.optim")


class _DynamoFinder(MetaPathFinder):
    """Finds nothing itself: it has :func:`_keep_out_of_graphs` run after dynamo's own import."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _DYNAMO:
            return None
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            sys.meta_path.insert(0, self)  # dynamo's import may fail, and be tried again
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            _keep_out_of_graphs()
            sys.meta_path.remove(self)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
