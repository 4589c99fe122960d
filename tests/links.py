"""What links to other memory must have for an op of a GPU, as CUDA names it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from op_table import Op

# Numbers of cudaAtomicOperation in the order of the stand-in (cuda_on_cpu/toolkit/cuda_runtime.h).
OPERATIONS = (
    *("IntegerAdd", "IntegerMin", "IntegerMax", "And", "Or", "XOR"),
    *("Exchange", "CAS", "FloatAdd"),
)
SIGNED, REDUCTION, SCALAR_32, SCALAR_64, VECTOR_32X4 = 1, 4, 8, 16, 64

_OF_INTEGERS = {
    **dict.fromkeys(("fetch_add", "fetch_sub", "index_fetch_add"), "IntegerAdd"),
    **dict.fromkeys(("add_", "sub_", "index_add_"), "IntegerAdd"),
    **dict.fromkeys(("fetch_min", "min_", "index_min_"), "IntegerMin"),
    **dict.fromkeys(("fetch_max", "max_", "index_max_"), "IntegerMax"),
    **dict.fromkeys(("fetch_and", "and_", "index_and_"), "And"),
    **dict.fromkeys(("fetch_or", "or_", "index_or_"), "Or"),
    **dict.fromkeys(("fetch_xor", "xor_"), "XOR"),
    **dict.fromkeys(("exchange", "index_exchange"), "Exchange"),
}
_KEPT_FOR_FLOATS = {"IntegerAdd": "FloatAdd", "Exchange": "Exchange"}


class Instruction(NamedTuple):
    operation: str
    capabilities: int

    @property
    def number(self) -> int:
        return OPERATIONS.index(self.operation)


def instruction(op: Op, dtype: torch.dtype) -> Instruction | None:
    """That of an op's kernels; None if a link has no name for it. Not for loads and stores."""
    name = op.name.partition(".")[0]
    width = dtype.itemsize
    operation = _OF_INTEGERS.get(name, "CAS")
    if dtype.is_floating_point:
        operation = _KEPT_FOR_FLOATS.get(operation, "CAS")
    updates = name.endswith("_")
    if width == 2 and operation == "FloatAdd" and updates:
        return None
    needed = SCALAR_64 if width == 8 else SCALAR_32
    if width < 4:
        operation = "CAS"
        needed |= SCALAR_64  # of several cells
    if operation == "CAS":
        return Instruction(operation, needed)
    if updates:
        needed |= REDUCTION
    if operation in ("IntegerMin", "IntegerMax"):
        needed |= SIGNED
    if operation == "FloatAdd" and updates and width == 4:
        needed |= VECTOR_32X4
    return Instruction(operation, needed)
