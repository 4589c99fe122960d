"""What the dense ops leave and return, against plain Python computed here."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from op_table import DTYPES
from torch import Tensor

from caffe2op_atomics import ops

dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=str)

# op -> what an element is afterwards
AFTER = {
    "store_": lambda old, other: other,
    "exchange": lambda old, other: other,
    "fetch_add": lambda old, other: old + other,
    "fetch_sub": lambda old, other: old - other,
    "add_": lambda old, other: old + other,
    "sub_": lambda old, other: old - other,
}
FETCHING = {"exchange", "fetch_add", "fetch_sub"}
SHAPES = [
    # target, other
    ((), ()),
    ((1,), (1,)),
    ((5,), ()),
    ((5,), (5,)),
    ((2, 3), (3,)),
    ((2, 3), (2, 1)),
    ((2, 3, 4), (3, 1)),
    ((2, 1, 3), (2, 1, 3)),
    ((0, 3), (3,)),
]


def numbers(shape: tuple[int, ...], dtype: torch.dtype, start: int) -> Tensor:
    return torch.arange(start, start + math.prod(shape)).reshape(shape).to(dtype)


def elementwise(op: str, target: Tensor, other: Tensor) -> list[float]:
    pairs = zip(target.flatten().tolist(), other.expand_as(target).flatten().tolist(), strict=True)
    return [AFTER[op](old, value) for old, value in pairs]


@dtypes
@pytest.mark.parametrize("op", AFTER)
@pytest.mark.parametrize(("shape", "other_shape"), SHAPES)
def test_op_matches_plain_python(op, shape, other_shape, dtype):
    target, other = numbers(shape, dtype, 10), numbers(other_shape, dtype, 3)
    before, expected = target.clone(), elementwise(op, target, other)
    result = getattr(ops, op)(target, other)
    assert target.flatten().tolist() == expected
    assert target.dtype == dtype
    if op in FETCHING:
        assert torch.equal(result, before)
        assert result.is_contiguous()
    else:
        assert result is target


LAYOUTS = {
    "transposed": lambda base: base.t(),
    "every second column": lambda base: base[:, ::2],
    "one column": lambda base: base[:, 1],
    "a row": lambda base: base[1],
    "permuted": lambda base: base.reshape(2, 2, 6).permute(2, 0, 1),
    "interleaved": lambda base: torch.as_strided(base, (2, 3), (3, 2)),
}


@dtypes
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("op", AFTER)
def test_strided_target_is_updated_in_place_and_nothing_beside_it(op, layout, dtype):
    base = numbers((4, 6), dtype, 10)
    target = LAYOUTS[layout](base)
    other = numbers(tuple(target.shape), dtype, 50)
    expected_base = base.clone()
    expected = torch.tensor(elementwise(op, target, other)).to(dtype).reshape(target.shape)
    LAYOUTS[layout](expected_base).copy_(expected)
    before = target.clone()
    result = getattr(ops, op)(target, other)
    assert torch.equal(base, expected_base)
    if op in FETCHING:
        assert torch.equal(result, before)


@dtypes
@pytest.mark.parametrize("op", AFTER)
def test_neighbours_of_the_target_keep_every_byte(op, dtype):
    """Words of 16 bytes are updated at once: all ways to start and end inside of one."""
    for start, length, shift in itertools.product(range(5), range(12), range(3)):
        base = numbers((20,), dtype, 10)
        other = numbers((20,), dtype, 50)[shift : shift + length]
        for operand in (other, other[:1].expand(length) if length else other):
            before = base.clone()
            target = base[start : start + length]
            expected = elementwise(op, target, operand)
            result = getattr(ops, op)(target, operand)
            assert target.tolist() == expected
            assert torch.equal(base[:start], before[:start])
            assert torch.equal(base[start + length :], before[start + length :])
            if op in FETCHING:
                assert torch.equal(result, before[start : start + length])


NEGATIVE_ZERO, SIGNALLING_NAN = -(2**31), 0x7F800001


@pytest.mark.parametrize("size", [1, 3, 9])
@pytest.mark.parametrize("op", ["store_", "exchange"])
def test_writing_keeps_every_bit(op, size):
    for bits in (NEGATIVE_ZERO, SIGNALLING_NAN, -1, 5):
        for shape in ((), (size,)):
            target = torch.zeros(size)
            other = torch.full(shape, bits, dtype=torch.int32).view(torch.float32)
            getattr(ops, op)(target, other)
            assert target.view(torch.int32).tolist() == [bits] * size
            assert ops.exchange(target, 0).view(torch.int32).tolist() == [bits] * size


@dtypes
def test_other_may_be_strided_and_lie_beside_the_target(dtype):
    base = numbers((4, 2), dtype, 1)
    ops.add_(base[:, 0], base[:, 1])
    assert base.flatten().tolist() == [3, 2, 7, 4, 11, 6, 15, 8]


@dtypes
def test_load_returns_a_contiguous_copy(dtype):
    base = numbers((3, 4), dtype, 0)
    for target in (base, base.t(), base[:, ::2], base[:1].expand(3, 4), base[0, 0]):
        result = ops.load(target)
        assert torch.equal(result, target)
        assert result.is_contiguous()
        assert result.data_ptr() != target.data_ptr()


@dtypes
def test_compare_exchange_writes_only_where_expected_matches(dtype):
    target = numbers((2, 3), dtype, 0)
    old, success = ops.compare_exchange(target, torch.tensor([0, 9, 2]).to(dtype), 7)
    assert old.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert success.tolist() == [[True, False, True], [False, False, False]]
    assert target.tolist() == [[7, 1, 7], [3, 4, 5]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_compare_exchange_compares_bits(dtype):
    target = torch.tensor([math.nan, 0.0, -0.0], dtype=dtype)
    expected = torch.tensor([math.nan, -0.0, -0.0], dtype=dtype)
    _, success = ops.compare_exchange(target, expected, 1)
    assert success.tolist() == [True, False, True]
    assert target.tolist() == [1, 0, 1]


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64], ids=str)
def test_integers_wrap(dtype):
    limits = torch.iinfo(dtype)
    for op, start, end in [
        ("fetch_add", limits.max, limits.min),
        ("fetch_sub", limits.min, limits.max),
        ("add_", limits.max, limits.min),
        ("sub_", limits.min, limits.max),
    ]:
        for size in (1, 3):
            target = torch.full((size,), start, dtype=dtype)
            getattr(ops, op)(target, 1)
            assert target.tolist() == [end] * size


@dtypes
@pytest.mark.parametrize(("op", "sign"), [("add_", 1), ("sub_", -1)])
def test_alpha_scales_other(op, sign, dtype):
    for alpha in [3, -2, 0] + ([0.5] if dtype.is_floating_point else []):
        target, other = numbers((4,), dtype, 10), numbers((4,), dtype, 1)
        getattr(ops, op)(target, other, alpha=alpha)
        assert target.tolist() == [10 + i + sign * alpha * (1 + i) for i in range(4)]


@dtypes
@pytest.mark.parametrize("op", AFTER)
def test_wrapper_takes_numbers(op, dtype):
    target = numbers((3,), dtype, 10)
    getattr(ops, op)(target, 4)
    assert target.tolist() == [AFTER[op](old, 4) for old in (10, 11, 12)]


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_special_values_survive(value):
    target = torch.zeros(3)
    ops.store_(target, value)
    for element, loaded in itertools.product(target.tolist(), ops.load(target).tolist()):
        assert (element == value and loaded == value) or (element != element and loaded != loaded)


@pytest.mark.parametrize("op", ["load", *AFTER])
def test_empty_target_of_many_dimensions_is_left_alone(op):
    target = torch.zeros(1).as_strided((0, *(2,) * 300), (1,) * 301)
    others = () if op == "load" else (torch.tensor(1.0),)
    getattr(ops, op)(target, *others)
    ops.index_add_(target, 0, torch.zeros(0, dtype=torch.int64), 1.0)


def test_target_of_sixty_dimensions_is_updated():
    target = torch.zeros((2,) * 3 + (1,) * 57)
    ops.add_(target.transpose(0, 2), 1)
    assert target.eq(1).all()


def test_copy_on_write_target_is_updated_alone():
    original = torch.zeros(3)
    lazy = torch._lazy_clone(original)
    ops.add_(lazy, 1)
    assert lazy.tolist() == [1, 1, 1]
    assert original.tolist() == [0, 0, 0]


def test_version_counter_does_not_change():
    target = torch.zeros(3)
    ops.fetch_add(target, 1)
    assert target._version == 0
