"""The kernels for GPUs, as compiled, update memory by the instructions that ``links.py`` names."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from links import REDUCTION, SCALAR_32, SCALAR_64, SIGNED, VECTOR_32X4, Instruction, instruction
from op_table import DENSE, INDEXED, Op
from support import HAS_CUDA_KERNELS

from caffe2op_atomics import library_path

pytestmark = pytest.mark.skipif(
    not HAS_CUDA_KERNELS, reason="no kernels for CUDA in this build (CAFFE2OP_ATOMICS_CUDA=1)"
)

OPS = {op.name: op for op in DENSE + INDEXED}
# Of a kernel's name, demangled: its form, its cell, and what it does with it.
KERNEL = re.compile(
    r"(?P<form>visit_cells|visit_number|visit_rows|visit_run|combine_words"
    r"|add_words|add_row_words|add_counts|draw)"
    r"<(?P<cell>[\w: ]+), (?:.*?Visit(?P<visit>\w+)(?:<(?P<op>\w+))?|(?P<first>\w+)).*"
    r"\(thread_scope"
)
CELLS = {
    "unsigned char": torch.uint8,
    "signed char": torch.int8,
    "unsigned short": torch.int16,
    "short": torch.int16,
    "unsigned int": torch.int32,
    "int": torch.int32,
    "unsigned long": torch.int64,
    "long": torch.int64,
    "c10::Half": torch.float16,
    "c10::BFloat16": torch.bfloat16,
    "float": torch.float32,
    "double": torch.float64,
}
OF_FORM = {"add_words": "add_", "add_row_words": "index_add_", "add_counts": "index_add_"}
UPDATE = re.compile(r"\b(?P<kind>atom|red)\.[\w.:]*")
OPERATIONS = {"and": "And", "or": "Or", "xor": "XOR", "exch": "Exchange", "cas": "CAS"}


def cuobjdump() -> Path:
    """Return the program, which comes with the Triton that a torch for CUDA needs."""
    if found := shutil.which("cuobjdump"):
        return Path(found)
    if triton := find_spec("triton"):
        path = Path(str(triton.origin)).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
        if path.exists():
            return path
    pytest.skip("no cuobjdump")


def op_of(kernel: re.Match[str]) -> Op:
    """Return one of the ops that a kernel is for."""
    if kernel["form"] == "draw":
        return OPS["index_fetch_add"]
    if kernel["form"] in OF_FORM:
        return OPS[OF_FORM[kernel["form"]]]
    if kernel["form"] == "combine_words":
        name = kernel["first"].lower()
        return OPS.get(f"fetch_{name}") or OPS[name]
    prefix = "index_" if kernel["form"] == "visit_rows" else ""
    snake = re.sub(r"(?<!^)([A-Z])", r"_\1", kernel["op"] or kernel["visit"]).lower()
    candidates = {
        "Fetch": (f"{prefix}fetch_{snake}", f"{prefix}{snake}"),
        "Red": (f"{prefix}{snake}_",),
        "Update": (f"{prefix}{snake}_",),
        "Randomly": (f"{prefix}{snake}_",),
    }.get(kernel["visit"], (f"{prefix}{snake}", f"{prefix}{snake}_", f"fetch_{snake}"))
    return next(OPS[name] for name in candidates if name in OPS)


def instructions(body: str) -> Iterator[tuple[str, Instruction]]:
    """Yield each update of memory as it is written and as a link names it."""
    for update in UPDATE.finditer(body):
        parts = update[0].split(".")
        what = next(part for part in parts if part in {*OPERATIONS, "add", "min", "max"})
        of = parts[-1]
        operation = OPERATIONS.get(what) or (
            f"{'Float' if 'f' in of else 'Integer'}{what.capitalize()}"
        )
        needed = {"64": SCALAR_64, "32": SCALAR_32}.get(of[1:], 0)
        if "v4" in parts:
            needed = VECTOR_32X4
        if update["kind"] == "red":
            needed |= REDUCTION
        if what in {"min", "max"} and of.startswith("s"):
            needed |= SIGNED
        yield update[0], Instruction(operation, needed)


@pytest.fixture(scope="module")
def kernels() -> list[tuple[str, str]]:
    """The kernels' names and PTX."""
    path = Path(library_path()).with_name("libatomics_cuda.so")
    ptx = subprocess.run(
        [cuobjdump(), "--dump-ptx", path], capture_output=True, text=True, check=True
    ).stdout
    ptx = subprocess.run(["c++filt"], input=ptx, capture_output=True, text=True, check=True).stdout
    ptx = re.sub(r"atomics::|cuda::|std::__\d+::|\(anonymous namespace\)::", "", ptx)
    found = [each.partition("\n") for each in re.split(r"\.entry ", ptx)[1:]]
    return [(name, body) for name, _, body in found]


def test_kernels_are_made_of_the_instructions_that_a_link_is_asked_for(kernels):
    seen = set()
    for name, body in kernels:
        kernel = KERNEL.search(name)
        assert kernel, name
        if kernel["visit"] == "Load":
            assert not UPDATE.search(body), name
            continue
        op, dtype = op_of(kernel), CELLS[kernel["cell"]]
        needed = instruction(op, dtype)
        seen.add((op.name, dtype))
        if kernel["visit"] == "Store" and dtype.itemsize > 1:
            assert not UPDATE.search(body), name
            continue
        found = list(instructions(body))
        assert found, name
        if needed is None:  # in pairs, which links have no name for
            continue
        for written, used in found:
            assert used.operation == needed.operation, (name, written)
            assert used.capabilities & ~needed.capabilities == 0, (name, written)
    assert {name for name, _ in seen} >= set(OPS) - {"load"}
