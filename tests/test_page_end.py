"""No op reads or writes a byte past its arguments: they end where the next page is forbidden."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support import TIMEOUT

PROGRAM = """
import ctypes, mmap
import torch
import caffe2op_atomics
from op_table import DENSE, INDEXED

def at_page_end(tensor):
    tensor = tensor.contiguous()
    pages = -(-tensor.nbytes // mmap.PAGESIZE)
    memory = mmap.mmap(-1, (pages + 1) * mmap.PAGESIZE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    forbidden = ctypes.c_void_p(address + pages * mmap.PAGESIZE)
    assert ctypes.CDLL(None).mprotect(forbidden, mmap.PAGESIZE, 0) == 0
    offset = pages * mmap.PAGESIZE - tensor.nbytes
    copy = torch.frombuffer(memory, dtype=tensor.dtype, count=tensor.numel(), offset=offset)
    return copy.view(tensor.shape).copy_(tensor)

def arguments(op, dtype, length, width):
    for at, argument in enumerate(op.arguments(dtype)):
        if op in INDEXED and at == 2:
            yield at_page_end(torch.tensor([1, 0, 1]))
        elif isinstance(argument, torch.Tensor):
            yield at_page_end(torch.ones(3 if op in INDEXED else length, *width, dtype=dtype))
        else:
            yield argument

for op in DENSE + INDEXED:
    for dtype in op.dtypes:
        for length in (1, 5, 8, 16, 17, 32, 33, 64, 100):
            for width in ((), (length,)):
                print(op.name, dtype, length, width, flush=True)
                op.overload(*arguments(op, dtype, length, width))
"""


def test_ops_stay_within_their_arguments():
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        cwd=Path(__file__).parent,
        check=False,
    )
    assert result.returncode == 0, [*result.stdout.splitlines()[-1:], result.stderr]
