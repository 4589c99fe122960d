"""What mutexes, flags and Caffe2's ops refuse: the exact message, and not a byte changed."""

from __future__ import annotations

import mmap
from functools import partial

import pytest
import torch
from op_table import row
from support import assert_refused
from torch import Tensor

atomics = torch.ops.atomics
I32, I64 = torch.int32, torch.int64

FLAG, CONDITION = torch.zeros(1, dtype=I32), torch.tensor(True)


def value(number: int, dtype: torch.dtype) -> Tensor:
    return torch.tensor(number).to(dtype)


@pytest.mark.parametrize(
    ("op", "args", "rule"),
    [
        (
            "atomic_fetch_add",
            (value(1, I64), value(1, I32)),
            "mut_value must have dtype int32, got int64",
        ),
        (
            "atomic_fetch_add",
            (value(1, I32), value(1, I64)),
            "increment must have dtype int32, got int64",
        ),
        (
            "atomic_fetch_add64",
            (value(1, I32), value(1, I64)),
            "mut_value must have dtype int64, got int32",
        ),
        (
            "atomic_fetch_add",
            (row(I32), value(1, I32)),
            "mut_value must have one element, got shape [3]",
        ),
        (
            "atomic_fetch_add",
            (value(1, I32), row(I32)),
            "increment must have one element, got shape [3]",
        ),
        (
            "atomic_fetch_add",
            (value(1, I32), value(1, I32).to("meta")),
            "increment must be on cpu like mutex, got meta",
        ),
        (
            "atomic_fetch_add",
            (value(1, I32).to("meta"), value(1, I32)),
            "mut_value must be on cpu like mutex, got meta",
        ),
        ("atomic_iter", (value(1, I64).to("meta"),), "iter must be on cpu like mutex, got meta"),
        ("atomic_iter", (value(1, I32),), "iter must have dtype int64, got int32"),
        ("atomic_iter", (row(I64),), "iter must have one element, got shape [3]"),
        ("atomic_iter", (value(-1, I64),), "iter must not be negative, got -1"),
        (
            "atomic_iter",
            (value(2**63 - 1, I64),),
            "iter must be below the largest int64, got 9223372036854775807",
        ),
    ],
)
def test_caffe2_op_refuses_and_releases_the_mutex(op, args, rule):
    mutex = atomics.create_mutex()
    assert_refused(partial(getattr(atomics, op), mutex), args, f"{op}: {rule}")
    assert atomics.mutex_owner(mutex) == 0


def test_caffe2_op_refuses_a_value_inside_the_mutex():
    mutex = atomics.create_mutex()
    words, numbers = mutex.view(I32)[0, 16], mutex.view(I64)[0, 8]
    rule = "must not share memory with mutex, got an overlapping tensor"
    assert_refused(
        atomics.atomic_fetch_add,
        (mutex, words, value(1, I32)),
        f"atomic_fetch_add: mut_value {rule}",
    )
    assert_refused(atomics.atomic_iter, (mutex, numbers), f"atomic_iter: iter {rule}")


@pytest.mark.parametrize(
    ("op", "args", "rule"),
    [
        (
            "conditional_set_atomic_bool",
            (FLAG, torch.tensor(1)),
            "condition must have dtype bool, got int64",
        ),
        (
            "conditional_set_atomic_bool",
            (FLAG, torch.ones(2, dtype=torch.bool)),
            "condition must have one element, got shape [2]",
        ),
        (
            "conditional_set_atomic_bool",
            (FLAG, CONDITION.to("meta")),
            "condition must be on cpu like atomic_bool, got meta",
        ),
        (
            "conditional_set_atomic_bool",
            (FLAG.bool(), CONDITION),
            "atomic_bool must have dtype int32, got bool",
        ),
        ("check_atomic_bool", (FLAG.bool(),), "atomic_bool must have dtype int32, got bool"),
        ("check_atomic_bool", (row(I32),), "atomic_bool must have one element, got shape [3]"),
    ],
)
def test_flag_op_refuses(op, args, rule):
    assert_refused(getattr(atomics, op), args, f"{op}: {rule}")


@pytest.mark.parametrize("op", ["create_mutex", "create_atomic_bool"])
def test_create_op_refuses_other_devices(op):
    with pytest.raises(RuntimeError, match=f"^{op}: device must be cpu, got cuda:1$"):
        getattr(atomics, op)(device="cuda:1")


@pytest.mark.parametrize("n", [0, -1, 1025])
def test_create_mutex_refuses_n(n):
    for args in [(n,), (torch.zeros(1), n)]:
        with pytest.raises(
            RuntimeError, match=rf"^create_mutex: n must lie in \[1, 1024\], got {n}$"
        ):
            atomics.create_mutex(*args)


BYTES = torch.zeros(256, dtype=torch.uint8)
NO_MUTEX = "mutex must be made by create_mutex, got memory that holds no mutex"


def torn_off() -> Tensor:
    mutex = torch.zeros(1, 128, dtype=torch.uint8).share_memory_()
    atomics.mutex_init_(mutex)
    mutex.untyped_storage().resize_(0)
    return mutex


@pytest.mark.parametrize(
    "op", ["mutex_lock", "mutex_try_lock", "mutex_unlock", "mutex_consistent", "mutex_owner"]
)
@pytest.mark.parametrize(
    ("mutex", "i", "rule"),
    [
        (lambda: row(I32), 0, "mutex must have dtype uint8, got int32"),
        (
            lambda: BYTES[:100],
            0,
            "mutex must be contiguous with 128 bytes for each mutex, got shape [100]",
        ),
        (
            lambda: BYTES[:0],
            0,
            "mutex must be contiguous with 128 bytes for each mutex, got shape [0]",
        ),
        (
            lambda: BYTES[::2],
            0,
            "mutex must be contiguous with 128 bytes for each mutex, got shape [128]",
        ),
        (lambda: BYTES[1:129], 0, "mutex must be aligned to 64 bytes, got a view that is not"),
        (lambda: BYTES, 0, NO_MUTEX),
        (lambda: atomics.create_mutex(2).view(-1)[64:192], 0, NO_MUTEX),
        (lambda: atomics.create_mutex(2), 2, "i must lie in [0, 2), got 2"),
        (lambda: atomics.create_mutex(2), -1, "i must lie in [0, 2), got -1"),
        (torn_off, 0, "mutex must still have its memory, got a storage of 0 bytes"),
        (
            lambda: torch.zeros(1025, 128, dtype=torch.uint8),
            0,
            "mutex must hold at most 1024 mutexes, got 1025",
        ),
    ],
)
def test_mutex_op_refuses(op, mutex, i, rule):
    assert_refused(getattr(atomics, op), (mutex(), i), f"{op}: {rule}")


def read_only() -> Tensor:
    memory = mmap.mmap(-1, 128, mmap.MAP_SHARED, mmap.PROT_READ)
    return torch.frombuffer(memory, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("memory", "rule"),
    [
        (
            lambda: torch.zeros(128, dtype=torch.uint8),
            "memory must be shared (share_memory_() first), got private memory",
        ),
        (
            lambda: torch.zeros(256, dtype=torch.uint8).share_memory_()[128:],
            "memory must have a storage of its own, got a view into a larger one",
        ),
        (
            lambda: torch.ones(128, dtype=torch.uint8).share_memory_(),
            "memory must be all zeros, got other bytes, perhaps a live mutex",
        ),
        (atomics.create_mutex, "memory must be all zeros, got other bytes, perhaps a live mutex"),
        pytest.param(
            read_only,
            "memory must be writable, got a read-only mapping",
            marks=pytest.mark.filterwarnings("ignore:The given buffer is not writable"),
        ),
    ],
)
def test_mutex_init_refuses(memory, rule):
    assert_refused(atomics.mutex_init_, (memory(),), f"mutex_init_: {rule}")


def test_mutex_lock_refuses_a_timeout_that_is_no_number():
    with pytest.raises(
        RuntimeError, match=r"^mutex_lock: timeout must be a number of seconds, got nan"
    ):
        atomics.mutex_lock(atomics.create_mutex(), 0, float("nan"))
