"""The library for GPUs, where it was built: what it registers, and what it needs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import op_table
import pytest
import torch
from support import HAS_CUDA_KERNELS

from caffe2op_atomics import _library, is_supported, library_path

pytestmark = pytest.mark.skipif(
    not HAS_CUDA_KERNELS, reason="no kernels for CUDA in this build (CAFFE2OP_ATOMICS_CUDA=1)"
)

LOCK_FREE = {op.name for op in op_table.DENSE + op_table.NUMBER + op_table.INDEXED}
LIBRARY = Path(library_path()).with_name("libatomics_cuda.so")


def has_kernel(name: str, key: str) -> bool:
    return torch._C._dispatch_has_kernel_for_dispatch_key(f"{_library.NAMESPACE}::{name}", key)


def test_every_lock_free_op_has_a_kernel_and_no_other():
    assert {name for name in _library.op_names() if has_kernel(name, "CUDA")} == LOCK_FREE


@pytest.mark.parametrize("op", op_table.ALL, ids=lambda op: op.name)
def test_supported_dtypes_are_those_of_the_cpu(op):
    for dtype in op_table.DTYPES:
        on_gpu = is_supported(op.name, dtype, "cuda")
        assert bool(on_gpu) == (op.name in LOCK_FREE and dtype in op.dtypes)
        if on_gpu:
            assert on_gpu.lock_free
            assert on_gpu.width == dtype.itemsize


def test_library_needs_no_python_and_none_of_the_other_library():
    needed = subprocess.run(
        ["readelf", "--dynamic", LIBRARY], capture_output=True, text=True, check=True
    ).stdout
    assert "libtorch_cuda.so" in needed
    assert "libcudart.so" in needed
    for other in ("libtorch_python", "libpython", "libatomics.so"):
        assert other not in needed


def test_kernels_are_there_for_each_architecture():
    """As names of the machine code in it; the PTX of the last one serves newer devices."""
    code = LIBRARY.read_bytes()
    for arch in (80, 90, 100):
        assert f"sm_{arch}".encode() in code


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cpu_works_beside_it_where_there_is_no_gpu():
    target = torch.zeros(3)
    torch.ops.atomics.add_(target, torch.ones(3))
    assert target.tolist() == [1, 1, 1]
