"""Every argument that a lock-free op refuses: the exact message, and not a byte changed."""

from __future__ import annotations

import itertools
from operator import mul
from random import Random

import pytest
import torch
from op_table import DENSE, INDEXED, NUMBER, Op, matrix, row
from support import assert_refused
from torch import Tensor

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


@pytest.mark.parametrize("target", [torch.zeros(3).to_sparse(), torch.zeros(3).to_mkldnn()])
def test_other_layouts_have_no_kernel(target):
    with pytest.raises(NotImplementedError, match="Could not run 'atomics::fetch_add'"):
        atomics.fetch_add(target, row(F32))


@pytest.mark.parametrize("op", DENSE + INDEXED, ids=lambda op: op.name)
def test_vmap_and_functionalize_are_refused(op):
    with pytest.raises(RuntimeError):
        torch.func.functionalize(op.overload)(*op.arguments(F32))
    if op in DENSE:
        with pytest.raises(RuntimeError):
            torch.vmap(op.overload)(*(arg.expand(2, 3) for arg in op.arguments(F32)))
