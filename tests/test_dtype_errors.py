"""Dtypes, and numbers that a dtype cannot hold: the exact message, and not a byte changed."""

from __future__ import annotations

import pytest
import torch
from bad_arguments import each_operand, listed, named, operands, packet, with_argument
from op_table import DENSE, DTYPES, INDEXED, INTEGERS, NUMBER, row
from support import assert_refused

atomics = torch.ops.atomics

BY_NAME = {op.name: op for op in DENSE + NUMBER + INDEXED}

each_int = pytest.mark.parametrize(
    "op", [op for op in NUMBER if op.name.endswith(".int") and operands(op)], ids=lambda op: op.name
)

# What a number for a dtype has to lie in.
LIMITS = {torch.bool: (0, 1)} | {
    dtype: (torch.iinfo(dtype).min, torch.iinfo(dtype).max) for dtype in INTEGERS
}
# alpha's magnitude is below this power of two.
ALPHA_BITS = {torch.uint8: 8, torch.int8: 7, torch.int16: 15, torch.int32: 31, torch.int64: 53}


# Of no op, and the last two not even of the stable ABI that the library is built for.
FOREIGN = [torch.complex64, torch.complex128, torch.bits8, torch.float8_e8m0fnu]


def found(dtype: torch.dtype) -> str:
    """What an error says that it got."""
    return "another one" if dtype in FOREIGN[2:] else named(dtype)


def on_meta(args: tuple) -> tuple:
    return tuple(arg.to("meta") if isinstance(arg, torch.Tensor) else arg for arg in args)


def another(dtype: torch.dtype) -> torch.dtype:
    return DTYPES[DTYPES.index(dtype) - 1]


@pytest.mark.parametrize("op", DENSE + NUMBER + INDEXED, ids=lambda op: op.name)
def test_target_of_a_dtype_that_the_op_does_not_have_is_refused(op):
    target, *others = op.arguments(op.dtypes[0])
    for dtype in {*DTYPES, *FOREIGN} - {*op.dtypes}:
        assert_refused(
            op.overload,
            (torch.empty_like(target, dtype=dtype), *others),
            f"{packet(op)}: target must have dtype {listed(op)}, got {found(dtype)}",
        )


@pytest.mark.parametrize("op", DENSE + INDEXED, ids=lambda op: op.name)
def test_trace_refuses_the_dtypes_that_a_run_refuses(op):
    args = on_meta(op.arguments(op.dtypes[0]))
    for dtype in {*DTYPES, *FOREIGN} - {*op.dtypes}:
        with pytest.raises(RuntimeError, match=f"{op.name}: target must .*, got {found(dtype)}$"):
            op.overload(args[0].to(dtype), *args[1:])
    if op in INDEXED:
        with pytest.raises(RuntimeError, match=f"{op.name}: index must .*, got int8$"):
            op.overload(*with_argument(args, 2, args[2].to(torch.int8)))


INTEGER_NAMES = "uint8, int8, int16, int32 or int64"
NUMBER_NAMES = "uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64"


@pytest.mark.parametrize(
    ("op", "dtype", "names"),
    [
        ("load", torch.complex64, f"bool, {NUMBER_NAMES}"),
        ("fetch_add", torch.bool, NUMBER_NAMES),
        ("index_fetch_add", torch.bool, NUMBER_NAMES),
        ("and_", torch.float32, f"bool, {INTEGER_NAMES}"),
        ("fetch_add_checked", torch.bool, INTEGER_NAMES),
        ("fetch_add_checked", torch.float64, INTEGER_NAMES),
        ("fetch_add.int", torch.bool, INTEGER_NAMES),
        ("fetch_max.int", torch.float16, f"bool, {INTEGER_NAMES}"),
        ("store_.float", torch.int8, "float16, bfloat16, float32 or float64"),
    ],
)
def test_lists_of_dtypes_are_these(op, dtype, names):
    """Written out; the other tests derive them from the table."""
    op = BY_NAME[op]
    target, *others = op.arguments(op.dtypes[0])
    message = f"{packet(op)}: target must have dtype {names}, got {named(dtype)}"
    assert_refused(op.overload, (target.to(dtype), *others), message)


@each_operand(DENSE + INDEXED)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_operand_of_another_dtype_is_refused_by_its_name(op, position, name, device):
    for dtype in op.dtypes:
        args = op.arguments(dtype) if device == "cpu" else on_meta(op.arguments(dtype))
        assert_refused(
            op.overload,
            with_argument(args, position, args[position].to(another(dtype))),
            f"{op.name}: {name} must have dtype {named(dtype)} like target, "
            f"got {named(another(dtype))}",
        )


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(
    "op", [op for op in DENSE + INDEXED if len(operands(op)) == 2], ids=lambda op: op.name
)
def test_first_of_two_wrong_operands_is_named(op, device):
    (first, name), (second, _) = operands(op)
    for dtype in op.dtypes:
        wrong = torch.zeros(7, dtype=another(dtype), device=device)
        args = with_argument(op.arguments(dtype), 0, op.arguments(dtype)[0].to(device))
        args = with_argument(with_argument(args, first, wrong), second, wrong)
        if op in INDEXED:
            args = with_argument(args, 2, args[2].to(device))
        message = f"{op.name}: {name} must have dtype {named(dtype)} like target"
        assert_refused(op.overload, args, f"{message}, got {named(another(dtype))}")


@each_int
@pytest.mark.parametrize("step", [-1, 1])
def test_int_overload_refuses_each_number_that_does_not_fit(op, step):
    # torch itself refuses what is no int64.
    for dtype in {*op.dtypes} - {torch.int64}:
        number = LIMITS[dtype][step == 1] + step
        args = op.arguments(dtype)
        for position, name in operands(op):
            message = f"{packet(op)}: {name} must fit in {named(dtype)}, got {number}"
            assert_refused(op.overload, with_argument(args, position, number), message)


@each_int
def test_int_overload_takes_the_numbers_at_the_limits(op):
    for dtype in op.dtypes:
        for number in LIMITS[dtype]:
            op.overload(torch.zeros(1, dtype=dtype), *(number for _ in operands(op)))


def with_alpha(op: str, dtype: torch.dtype, alpha: float) -> tuple:
    if op == "index_add_":
        return (row(dtype), 0, torch.tensor([0, 1, 2]), row(dtype), alpha)
    return (row(dtype), row(dtype), alpha)


@pytest.mark.parametrize("op", ["add_", "sub_", "index_add_"])
@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
@pytest.mark.parametrize("place", [lambda args: args, on_meta], ids=["cpu", "meta"])
def test_integer_target_refuses_alpha_that_is_not_whole_or_not_below_the_limit(place, dtype, op):
    bits = ALPHA_BITS[dtype]
    for alpha in [0.5, -1.5, float("nan"), float("inf"), -float("inf"), 2**bits, -(2**bits), 1e30]:
        assert_refused(
            getattr(atomics, op).default,
            place(with_alpha(op, dtype, alpha)),
            f"{op}: alpha must be an integer of magnitude below 2**{bits} for {named(dtype)} "
            f"targets, got {alpha:.6f}",
        )
    for alpha in [2**bits - 1, -(2**bits) + 1, -0.0]:
        getattr(atomics, op).default(*place(with_alpha(op, dtype, alpha)))


def test_alpha_that_is_no_double_is_refused():
    assert_refused(
        atomics.add_.default,
        with_alpha("add_", torch.int64, 2**53 + 1),
        "add_: alpha must be an integer of magnitude below 2**53 for int64 targets, "
        "got 9007199254740992.000000",
    )


@pytest.mark.parametrize("op", ["add_", "sub_"])
@pytest.mark.parametrize("seed", [5, 0, -(2**63)])
@pytest.mark.parametrize("place", [lambda args: args, on_meta], ids=["cpu", "meta"])
def test_seed_is_refused_where_there_is_nothing_to_round(place, op, seed):
    for dtype in {*BY_NAME[op].dtypes} - {torch.float16, torch.bfloat16}:
        assert_refused(
            getattr(atomics, op).default,
            place((row(dtype), row(dtype), 1, seed)),
            f"{op}: seed must be None for {named(dtype)} targets, got {seed}",
        )
