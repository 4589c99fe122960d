"""What an op writes has to lie in memory that may be written: an error, where torch crashes."""

from __future__ import annotations

import ctypes
import mmap
import os
import random

import numpy
import pytest
import torch
from op_table import ALL, HANDLES, MUTEX
from support import run_threads
from torch import Tensor

from caffe2op_atomics import GuardedTensor, ops

pytestmark = pytest.mark.filterwarnings(
    "ignore:The given buffer is not writable", "ignore:The given NumPy array is not writable"
)

# Declared as written to keep their place in a program.
READING = {"load", "wait", "notify", "guarded_load", "check_atomic_bool", "handle_release"}
WRITING = [op for op in ALL if op not in MUTEX + HANDLES and op.name.split(".")[0] not in READING]


ROOM = 2**30  # of addresses, most of which no thread has asked about


def read_only(tensor: Tensor, tmp_path) -> Tensor:
    path = tmp_path / "memory"
    place = random.randrange(ROOM // mmap.PAGESIZE) * mmap.PAGESIZE
    with path.open("wb") as file:
        file.truncate(ROOM)
        file.seek(place)
        file.write(bytes(tensor.contiguous().view(-1).view(torch.uint8).tolist()))
    with path.open("rb") as file:
        memory = mmap.mmap(file.fileno(), ROOM, prot=mmap.PROT_READ)
    numbers = torch.frombuffer(memory, dtype=tensor.dtype, count=tensor.numel(), offset=place)
    return numbers.view(tensor.shape)


@pytest.mark.parametrize("op", WRITING, ids=lambda op: op.name)
def test_read_only_memory_is_refused_by_its_name(op, tmp_path):
    for position, argument in enumerate(op.overload._schema.arguments):
        is_written = argument.alias_info is not None and argument.alias_info.is_write
        if not is_written or argument.name in ("mutex", "token"):
            continue
        if op.name == "guarded_copy_" and argument.name != "out":  # what is locked, and read
            continue
        args = list(op.arguments(op.dtypes[0]))
        given = args[position]
        if isinstance(given, list):
            args[position] = [*given[:-1], read_only(given[-1], tmp_path)]
        else:
            args[position] = read_only(given, tmp_path)
        with pytest.raises(RuntimeError) as caught:
            op.overload(*args, **op.keywords)
        rule = f"{argument.name} must lie in memory that may be written, got read-only memory"
        assert str(caught.value).splitlines()[0] == f"{op.name.split('.')[0]}: {rule}"


def test_array_that_only_numpy_calls_read_only_is_changed():
    """Its memory may be written, and torch knows no flag."""
    array = numpy.zeros(3, dtype=numpy.float32)
    array.flags.writeable = False
    ops.add_(torch.from_numpy(array), 1)
    assert array.tolist() == [1, 1, 1]


def test_read_only_memory_may_be_read(tmp_path):
    value = read_only(torch.tensor([41]), tmp_path)
    assert ops.load(value).item() == 41
    assert torch.ops.atomics.load.int(value) == 41
    assert ops.fetch_add(torch.tensor([1]), value).item() == 1


def test_memory_that_ends_read_only_is_refused(tmp_path):
    """The first page may be written, the last one may not."""
    path = tmp_path / "memory"
    with path.open("wb") as file:
        file.truncate(ROOM)
    memory = torch.from_file(str(path), shared=True, size=ROOM, dtype=torch.uint8)
    place = random.randrange(ROOM // mmap.PAGESIZE - 1) * mmap.PAGESIZE
    whole = memory[place : place + 2 * mmap.PAGESIZE]
    last = ctypes.c_void_p(whole.data_ptr() + mmap.PAGESIZE)
    assert ctypes.CDLL(None).mprotect(last, mmap.PAGESIZE, mmap.PROT_READ) == 0
    with pytest.raises(RuntimeError, match="must lie in memory that may be written"):
        ops.add_(whole, 1)
    ops.add_(whole[: mmap.PAGESIZE], 1)
    assert whole.sum() == mmap.PAGESIZE


def test_every_thread_finds_out_by_itself(tmp_path):
    value = read_only(torch.tensor([0]), tmp_path)

    def add(_):
        with pytest.raises(RuntimeError, match="read-only memory"):
            ops.add_(value, 1)
        return GuardedTensor([3]).add_(1).snapshot().sum().item()

    assert run_threads(2, add) == [3, 3]


def test_memory_that_the_kernel_does_not_look_into_may_be_written():
    """Of secret memory, as of some devices', it has no page to look up."""
    libc = ctypes.CDLL(None, use_errno=True)
    memfd_secret = 447
    fd = libc.syscall(memfd_secret, 0)
    if fd < 0:
        pytest.skip("this kernel has no secret memory")
    with os.fdopen(fd, "r+b", buffering=0) as file:
        os.ftruncate(fd, mmap.PAGESIZE)
        memory = mmap.mmap(file.fileno(), mmap.PAGESIZE)
    value = torch.frombuffer(memory, dtype=torch.int64)
    ops.add_(value, 1)
    assert value.sum() == value.numel()
