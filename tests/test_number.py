"""The `.int` and `.float` overloads: results of plain Python, and which overload torch picks."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from meaning import after, held
from op_table import DTYPES, FETCHING, FLOATS, INTEGERS, NUMBER, ONE_OPERAND, Op

pytestmark = pytest.mark.usefixtures("device")

atomics = torch.ops.atomics

# For target and for the numbers: both signs, the limits, and what wraps or is rounded.
VALUES: dict[torch.dtype, list[float]] = {
    torch.bool: [False, True],
    torch.uint8: [0, 1, 5, 200, 255],
    **{
        dtype: [torch.iinfo(dtype).min, -100, -1, 0, 5, torch.iinfo(dtype).max]
        for dtype in INTEGERS
        if dtype.is_signed
    },
    **{dtype: [-2.5, -0.0, 0.1, 3.0001, 256.0, math.inf, math.nan] for dtype in FLOATS},
}


def each(*packets: str) -> pytest.MarkDecorator:
    cases = [
        pytest.param(op, dtype, id=f"{op.name}-{dtype}")
        for op in NUMBER
        if op.name.partition(".")[0] in packets
        for dtype in op.dtypes
    ]
    return pytest.mark.parametrize(("op", "dtype"), cases)


def number(op: Op, value: float) -> float:
    return float(value) if op.name.endswith(".float") else int(value)


def same(left: object, right: object) -> bool:
    """Whether values and types are the same; NaN is itself, and -0.0 is not 0.0."""
    return repr(left) == repr(right)


@each(*(op.name for op in ONE_OPERAND))
def test_a_number_changes_target_as_plain_python_says(op, dtype):
    name = op.name.partition(".")[0]
    for start, other in itertools.product(VALUES[dtype], repeat=2):
        before = held(dtype, start)
        for shape in [(), (1,), (1, 1)]:
            target = torch.full(shape, start, dtype=dtype)
            result = op.overload(target, number(op, other))
            assert same(target.item(), after(name, dtype, before, other))
            assert same(result, number(op, before) if name in FETCHING else None)


@each("load")
def test_load_returns_a_plain_number(op, dtype):
    for start in VALUES[dtype]:
        target = torch.full((1,), start, dtype=dtype)
        assert same(op.overload(target), number(op, held(dtype, start)))


@each("compare_exchange")
def test_compare_exchange_writes_where_target_holds_the_number(op, dtype):
    for values in itertools.product(VALUES[dtype], repeat=3):
        start, expected, desired = (held(dtype, value) for value in values)
        target = torch.full((1,), start, dtype=dtype)
        result = op.overload(target, *(number(op, value) for value in values[1:]))
        equal = same(start, expected)
        assert same(result, (number(op, start), equal))
        assert same(target.item(), desired if equal else start)


@each("fetch_add_below")
def test_fetch_add_below_adds_where_the_sum_fits_and_is_at_most_the_limit(op, dtype):
    for values in itertools.product(VALUES[dtype], repeat=3):
        start, other, limit = (held(dtype, value) for value in values)
        target = torch.full((1,), start, dtype=dtype)
        result = op.overload(target, *(number(op, value) for value in values[1:]))
        total = held(dtype, start + other)
        adds = total <= limit and (dtype.is_floating_point or total == start + other)
        assert same(result, (number(op, start), adds))
        assert same(target.item(), total if adds else start)


@each("fetch_add_checked")
def test_fetch_add_checked_adds_where_the_sum_fits(op, dtype):
    for start, other in itertools.product(VALUES[dtype], repeat=2):
        target = torch.full((1,), start, dtype=dtype)
        fits = held(dtype, start + other) == start + other
        assert op.overload(target, other) == (start, not fits)
        assert target.item() == (start + other if fits else start)


def test_sums_of_narrow_integers_wrap_and_their_old_values_keep_the_sign():
    for dtype, start, other, expected in [
        (torch.uint8, 250, 10, 4),
        (torch.int8, -128, -1, 127),
        (torch.int8, -3, 127, 124),
        (torch.int16, 32767, 1, -32768),
        (torch.int32, -(2**31), -1, 2**31 - 1),
        (torch.int64, 2**63 - 1, 1, -(2**63)),
    ]:
        target = torch.tensor([start], dtype=dtype)
        assert atomics.fetch_add.int(target, other) == start
        assert target.item() == expected


@pytest.mark.parametrize(
    ("dtype", "number", "rounded"),
    [
        (torch.float16, 1 + 2**-11, 1.0),  # a tie: to the even neighbour
        (torch.float16, 1 + 3 * 2**-11, 1 + 2**-9),
        (torch.float16, 65519.0, 65504.0),
        (torch.float16, 65520.0, math.inf),
        (torch.float16, 2.0**-25, 0.0),
        (torch.bfloat16, 1 + 2**-8, 1.0),
        (torch.bfloat16, 1 + 3 * 2**-8, 1 + 2**-6),
        (torch.bfloat16, -1e39, -math.inf),
        (torch.float32, 1 + 2**-24, 1.0),
        (torch.float64, 0.1, 0.1),
    ],
)
def test_a_number_is_rounded_to_the_nearest_of_the_dtype(dtype, number, rounded):
    target = torch.zeros(1, dtype=dtype)
    atomics.store_.float(target, number)
    assert target.item() == rounded
    assert atomics.exchange.float(target, 0) == rounded


def test_tensor_overload_is_tried_first():
    for op in {op.name.split(".")[0] for op in NUMBER}:
        assert getattr(atomics, op).overloads()[0] == "default"
    old = atomics.fetch_add(torch.zeros(1, dtype=torch.int64), torch.tensor(1))
    assert isinstance(old, torch.Tensor)


def test_packet_takes_a_number_for_the_number_overload():
    for dtype in DTYPES:
        target = torch.zeros(1, dtype=dtype)
        old = atomics.fetch_max(target, 1.0 if dtype.is_floating_point else 1)
        assert same(old, 0.0 if dtype.is_floating_point else 0)
        assert target.item() == 1


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), 2**53 + 1])
def test_int64_keeps_every_bit(value):
    target = torch.zeros(1, dtype=torch.int64)
    atomics.store_.int(target, value)
    assert atomics.load.int(target) == value
