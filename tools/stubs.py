"""Writes caffe2op_atomics/_torch_ops.pyi: the registered ops, typed as their schemas say.

python tools/stubs.py
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from caffe2op_atomics import _library

STUB = Path(__file__).parent.parent / "caffe2op_atomics" / "_torch_ops.pyi"

HEADER = """\
# The ops of csrc/schema.cpp, written by tools/stubs.py.

# An overload is an attribute of that name.
from builtins import float as _float
from builtins import int as _int
from collections.abc import Sequence
from typing import Any, overload

import torch
from torch import Tensor
from torch._ops import OpOverload

class _Op:
    def overloads(self) -> list[str]: ...
"""

TYPES = {
    "Tensor": "Tensor",
    "bool": "bool",
    "int": "_int",
    "float": "_float",
    "List[int]": "Sequence[_int]",
    "List[Tensor]": "Sequence[Tensor]",
    "ScalarType": "torch.dtype",
    "Optional[int]": "_int | None",
    "Optional[Device]": "torch.device | str | None",
}


def stub() -> str:
    """Return the text of the stub, as ruff formats it."""
    names = [name for name in _library.op_names() if "." not in name]
    lines = [HEADER]
    for name in names:
        lines += op(name)
    lines += ["class TorchOps:", *(f"    {name}: {class_name(name)}" for name in names)]
    lines += ["torch_ops: TorchOps"]
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(STUB), "-"]
    return subprocess.run(
        command, input="\n".join(lines), capture_output=True, text=True, check=True
    ).stdout


def op(name: str) -> Iterator[str]:
    """Give the classes of an op's overloads, then that of the op, which is any of them."""
    overloads = {
        class_name(name, schema.overload_name or "default"): schema
        for schema in torch._C._jit_get_schemas_for_operator(f"{_library.NAMESPACE}::{name}")
    }
    for overload, schema in overloads.items():
        yield f"class {overload}(OpOverload[..., Any]):"
        yield f"    def __call__({parameters(schema)}) -> {result(schema)}: ..."
    yield f"class {class_name(name)}(_Op):"
    # Of overloads that take the same, torch takes the first.
    calls = {parameters(schema): schema for schema in reversed(overloads.values())}
    for taken, schema in reversed(calls.items()):
        yield from ["    @overload"] * (len(calls) > 1)
        yield f"    def __call__({taken}) -> {result(schema)}: ..."
    for overload, schema in overloads.items():
        yield f"    {schema.overload_name or 'default'}: {overload}"


def class_name(*words: str) -> str:
    """Return ``_FetchAddInt`` for ``fetch_add`` and ``int``."""
    return "_" + "".join(word.capitalize() for word in "_".join(words).split("_"))


def parameters(schema: torch.FunctionSchema) -> str:
    """Return what a call takes."""
    found = ["self"]
    for argument in schema.arguments:
        if argument.kwarg_only and "*" not in found:
            found.append("*")
        default = f" = {argument.default_value!r}" if argument.has_default_value() else ""
        found.append(f"{argument.name}: {TYPES[str(argument.real_type)]}{default}")
    return ", ".join(found)


def result(schema: torch.FunctionSchema) -> str:
    """Return what a call returns."""
    types = [TYPES[str(value.real_type)] for value in schema.returns]
    return f"tuple[{', '.join(types)}]" if len(types) > 1 else "".join(types) or "None"


if __name__ == "__main__":
    STUB.write_text(stub())
