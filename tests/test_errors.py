"""Every refused argument: the exact message, and not a byte changed."""

from __future__ import annotations

import itertools
import mmap
import re
from collections.abc import Callable
from functools import partial
from operator import mul
from random import Random
from typing import Any

import pytest
import torch
from op_table import DENSE, INDEXED, NUMBER, Op, matrix, row
from torch import Tensor

import caffe2op_atomics as package
from caffe2op_atomics import ops

atomics = torch.ops.atomics
F32, F64, I32, I64 = torch.float32, torch.float64, torch.int32, torch.int64


def misaligned(dtype: torch.dtype = F32) -> Tensor:
    return torch.frombuffer(bytearray(32), dtype=dtype, count=3, offset=1)


def overlapping() -> Tensor:
    return torch.as_strided(torch.zeros(8), (2, 3), (2, 2))


def negative() -> Tensor:
    return torch.zeros(3, dtype=torch.complex64).conj().imag


def conjugate() -> Tensor:
    return torch.zeros(3, dtype=torch.complex64).conj()


def storage_bytes(tensor: Tensor) -> bytes:
    """The memory behind a tensor, its neighbours included."""
    if tensor.device.type != "cpu" or tensor.layout != torch.strided:
        return b""
    return bytes(tensor.untyped_storage())


def assert_refused(call: Callable[..., Any], args: tuple[Any, ...], message: str) -> None:
    before = [storage_bytes(arg) for arg in args if isinstance(arg, Tensor)]
    with pytest.raises(RuntimeError) as caught:
        call(*args)
    assert str(caught.value).splitlines()[0] == message
    assert [storage_bytes(arg) for arg in args if isinstance(arg, Tensor)] == before


NEGATIVE = (
    "arguments must not be negative views (resolve_neg() makes a plain tensor), "
    "got one with its negative bit set"
)
CONJUGATE = (
    "arguments must not be conjugate views (resolve_conj() makes a plain tensor), "
    "got one with its conjugate bit set"
)
ARITHMETIC = "must have dtype int32, int64, float32 or float64"
SHARES = "must not share memory with target, got an overlapping tensor"
OVERLAPS = "target must not overlap itself, got several indices for one memory location"

ELEMENTWISE = [op for op in DENSE if op.takes_operands]


def first_operand(op: Op) -> str:
    return "expected" if op.name == "compare_exchange" else "other"


def operands(op: Op, other: Tensor) -> tuple[Tensor, ...]:
    return (other, other) if op.name == "compare_exchange" else (other,)


@pytest.mark.parametrize("op", ELEMENTWISE, ids=lambda op: op.name)
@pytest.mark.parametrize(
    ("target", "other", "rule"),
    [
        (torch.zeros(3, dtype=torch.float16), row(F32), f"target {ARITHMETIC}, got float16"),
        (torch.zeros(3, dtype=torch.bool), row(F32), f"target {ARITHMETIC}, got bool"),
        (torch.zeros(3, dtype=torch.complex64), row(F32), f"target {ARITHMETIC}, got complex64"),
        (matrix(F32), row(F64), "{} must have dtype float32 like target, got float64"),
        (matrix(I32), row(I64), "{} must have dtype int32 like target, got int64"),
        (matrix(F32), torch.ones(2), "{} must broadcast to target's shape [2, 3], got [2]"),
        (row(F32), torch.ones(1, 3), "{} must broadcast to target's shape [3], got [1, 3]"),
        (torch.zeros(0), torch.ones(2), "{} must broadcast to target's shape [0], got [2]"),
        (torch.zeros(1).expand(3), row(F32), OVERLAPS),
        (overlapping(), row(F32), OVERLAPS),
        (
            misaligned(),
            row(F32),
            "target must be aligned to 4 bytes, got an address 1 bytes past that",
        ),
        (
            matrix(F32),
            misaligned(),
            "{} must be aligned to 4 bytes, got an address 1 bytes past that",
        ),
        (matrix(F32), row(F32).to("meta"), "{} must be on cpu like target, got meta"),
        (matrix(F32).to("meta"), row(F32), "{} must be on meta like target, got cpu"),
        (negative(), row(F32), NEGATIVE),
        (matrix(F32), negative(), NEGATIVE),
        (conjugate(), row(F32), CONJUGATE),
    ],
)
def test_elementwise_op_refuses(op, target, other, rule):
    args = (target, *operands(op, other))
    assert_refused(op.overload, args, f"{op.name}: " + rule.format(first_operand(op)))


def without_memory(tensor: Tensor, left: int) -> Tensor:
    tensor.untyped_storage().resize_(left)
    return tensor


LOST_MEMORY = "must still have its memory, got a storage of {} bytes"


@pytest.mark.parametrize("left", [0, 4])
@pytest.mark.parametrize("op", DENSE + NUMBER + INDEXED, ids=lambda op: op.name)
def test_tensor_whose_storage_shrank_is_refused(op, left):
    dtype = op.dtypes[-1]
    name = op.name.split(".")[0]
    for position, argument in enumerate(op.arguments(dtype)):
        if not isinstance(argument, Tensor):
            continue
        args = list(op.arguments(dtype))
        args[position] = without_memory(args[position], left)
        argument_name = op.overload._schema.arguments[position].name
        message = f"{name}: {argument_name} {LOST_MEMORY.format(left)}"
        assert_refused(op.overload, tuple(args), message)


def test_overlap_of_strided_targets_is_found_exactly():
    random = Random(0)
    for _ in range(3000):
        sizes = [random.randint(1, 5) for _ in range(random.randint(1, 4))]
        strides = [random.randint(0, 60) for _ in sizes]
        offsets = [sum(map(mul, index, strides)) for index in itertools.product(*map(range, sizes))]
        target = torch.zeros(max(offsets) + 1).as_strided(sizes, strides)
        if len(set(offsets)) == len(offsets):
            atomics.add_(target, torch.ones(()))
            assert target.eq(1).all()
        else:
            with pytest.raises(RuntimeError, match="target must not overlap itself"):
                atomics.add_(target, torch.ones(()))


@pytest.mark.parametrize("op", ELEMENTWISE, ids=lambda op: op.name)
def test_elementwise_op_refuses_shared_memory(op):
    base = torch.zeros(8)
    for target, other in [
        (base, base),
        (base[:4], base[3:7]),
        (base[::2], base[2:6]),
        (base.view(2, 4), base[0]),
    ]:
        args = (target, *operands(op, other))
        assert_refused(op.overload, args, f"{op.name}: {first_operand(op)} {SHARES}")


INDEX = torch.tensor([1, 0])
ROWS = torch.ones(2, 3)


@pytest.mark.parametrize(
    ("args", "rule"),
    [
        ((torch.zeros(2, dtype=torch.int8), 0, INDEX, ROWS), f"target {ARITHMETIC}, got int8"),
        ((matrix(F32), 1, INDEX, ROWS), "dim must be 0, got 1"),
        ((matrix(F32), -1, INDEX, ROWS), "dim must be 0, got -1"),
        (
            (torch.tensor(1.0), 0, INDEX, ROWS),
            "target must have at least one dimension, got shape []",
        ),
        (
            (matrix(F32), 0, INDEX.view(1, 2), ROWS),
            "index must have one dimension, got shape [1, 2]",
        ),
        ((matrix(F32), 0, INDEX[0], ROWS), "index must have one dimension, got shape []"),
        (
            (matrix(F32), 0, INDEX.float(), ROWS),
            "index must have dtype int32 or int64, got float32",
        ),
        ((matrix(F32), 0, INDEX.bool(), ROWS), "index must have dtype int32 or int64, got bool"),
        (
            (matrix(F32), 0, INDEX, ROWS.double()),
            "source must have dtype float32 like target, got float64",
        ),
        ((matrix(F32), 0, INDEX, ROWS[:1]), "source must have shape [2, 3], got [1, 3]"),
        ((matrix(F32), 0, INDEX, ROWS[:, :2]), "source must have shape [2, 3], got [2, 2]"),
        ((matrix(F32), 0, torch.tensor([0, 2]), ROWS), "index must lie in [0, 2), got 2"),
        ((matrix(F32), 0, torch.tensor([0, -1]), ROWS), "index must lie in [0, 2), got -1"),
        ((torch.zeros(0, 3), 0, INDEX, ROWS), "index must lie in [0, 0), got 1"),
        ((matrix(F32), 0, INDEX.to("meta"), ROWS), "index must be on cpu like target, got meta"),
        ((matrix(F32), 0, INDEX, ROWS.to("meta")), "source must be on cpu like target, got meta"),
        ((torch.zeros(1, 3).expand(2, 3), 0, INDEX, ROWS), OVERLAPS),
        (
            (misaligned(), 0, INDEX, torch.ones(2)),
            "target must be aligned to 4 bytes, got an address 1 bytes past that",
        ),
        (
            (torch.zeros(3), 0, misaligned(I64), torch.ones(3)),
            "index must be aligned to 8 bytes, got an address 1 bytes past that",
        ),
        ((negative(), 0, INDEX, torch.ones(2)), NEGATIVE),
        (
            (matrix(I64), 0, INDEX, ROWS.long(), 1.5),
            "alpha must be an integer of magnitude below 2**53 for int64 targets, got 1.500000",
        ),
        (
            (matrix(I64), 0, INDEX, ROWS.long(), 2**53 + 1),  # no double
            "alpha must be an integer of magnitude below 2**53 for int64 targets, "
            "got 9007199254740992.000000",
        ),
    ],
)
def test_index_add_refuses(args, rule):
    assert_refused(INDEXED[0].overload, args, f"index_add_: {rule}")


def test_index_add_refuses_shared_memory():
    base = torch.zeros(4, 3)
    assert_refused(
        atomics.index_add_,
        (base, 0, torch.tensor([0, 1]), base[2:]),
        f"index_add_: source {SHARES}",
    )


@pytest.mark.parametrize("op", ["add_", "sub_"])
@pytest.mark.parametrize(
    ("alpha", "shown"),
    [
        (0.5, "0.500000"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (2**31, "2147483648.000000"),
        (2.0**54, "18014398509481984.000000"),
    ],
)
def test_integer_target_refuses_alpha(op, alpha, shown):
    assert_refused(
        getattr(atomics, op).default,
        (row(I32), row(I32), alpha),
        f"{op}: alpha must be an integer of magnitude below 2**31 for int32 targets, got {shown}",
    )


@pytest.mark.parametrize("op", NUMBER, ids=lambda op: op.name)
def test_number_overload_refuses(op):
    name, kind = op.name.split(".")
    numbers = op.arguments(op.dtypes[0])[1:]
    ints, floats = "int32 or int64", "float32 or float64"
    right, wrong, got = (ints, F32, "float32") if kind == "int" else (floats, I64, "int64")
    for target, rule in [
        (torch.zeros(2, dtype=op.dtypes[0]), "target must have one element, got shape [2]"),
        (torch.zeros(0, dtype=op.dtypes[0]), "target must have one element, got shape [0]"),
        (torch.zeros(1, dtype=wrong), f"target must have dtype {right}, got {got}"),
        (
            misaligned(op.dtypes[0])[:1],
            "target must be aligned to 4 bytes, got an address 1 bytes past that",
        ),
    ]:
        assert_refused(op.overload, (target, *numbers), f"{name}: {rule}")


@pytest.mark.parametrize("op", [op for op in NUMBER if op.name.endswith(".int")], ids=str)
@pytest.mark.parametrize("number", [2**31, -(2**31) - 1])
def test_int_overload_refuses_numbers_that_do_not_fit(op, number):
    count = len(op.arguments(I32)) - 1
    if count:
        name = "expected" if count == 2 else "other"
        message = f"{op.name.split('.')[0]}: {name} must fit in int32, got {number}"
        assert_refused(op.overload, (torch.zeros(1, dtype=I32), *(number,) * count), message)


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


@pytest.mark.parametrize(
    "other",
    [torch.zeros(3).to_sparse(), torch.zeros(3).to_mkldnn()],
)
def test_other_layouts_have_no_kernel(other):
    with pytest.raises((NotImplementedError, RuntimeError)):
        atomics.fetch_add(other, row(F32))


@pytest.mark.parametrize("op", DENSE + INDEXED, ids=lambda op: op.name)
def test_vmap_and_functionalize_are_refused(op):
    with pytest.raises(RuntimeError):
        torch.func.functionalize(op.overload)(*op.arguments(F32))
    if op in DENSE:
        with pytest.raises(RuntimeError):
            torch.vmap(op.overload)(*(arg.expand(2, 3) for arg in op.arguments(F32)))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: ops.fetch_add(row(I64), 1.5),
            ValueError,
            "fetch_add: other must be an integer for int64 targets, got 1.5",
        ),
        (
            lambda: ops.store_(row(I32), 2**31),
            ValueError,
            "store_: other must fit in int32, got 2147483648",
        ),
        (
            lambda: ops.compare_exchange(row(I32), 0, "1"),
            TypeError,
            "compare_exchange: desired must be a tensor or a number, got str",
        ),
        (lambda: ops.add_([1], 1), TypeError, "add_: target must be a tensor, got list"),
        (
            lambda: ops.index_add_(row(I64), 0, [0], 1),
            TypeError,
            "index_add_: index must be a tensor, got list",
        ),
        (
            lambda: package.check_lost_updates(print, [0]),
            TypeError,
            "check_lost_updates: target must be a tensor, have a value, or come with read, "
            "got list",
        ),
        (
            lambda: ops.index_add_(row(I64), 0, INDEX, 0.5),
            ValueError,
            "index_add_: source must be an integer for int64 targets, got 0.5",
        ),
        (
            lambda: package.AtomicBool().set_if(1),
            TypeError,
            "set_if: condition must be a bool or a bool tensor, got int",
        ),
        (
            lambda: package.Mutex("ignore"),
            ValueError,
            "Mutex: on_owner_died must be 'raise' or 'recover', got 'ignore'",
        ),
        (
            lambda: package.Mutex().acquire(timeout=-2),
            ValueError,
            "acquire: timeout must be non-negative or -1, got -2",
        ),
        (
            lambda: package.Mutex().acquire(blocking=False, timeout=1),
            ValueError,
            "acquire: timeout must be -1 for a non-blocking call, got one",
        ),
        (
            lambda: package.check_lost_updates(print, torch.zeros(1), workers=1),
            ValueError,
            "check_lost_updates: workers must be at least 2, got 1",
        ),
        (
            lambda: package.check_lost_updates(print, torch.zeros(1), calls=0),
            ValueError,
            "check_lost_updates: calls must be at least 1, got 0",
        ),
    ],
)
def test_wrapper_refuses(call, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        call()
