"""What the dense ops leave and return, against plain Python computed here."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from meaning import after, elementwise, held
from op_table import BITS, DTYPES, FETCHING, FLOATS, INTEGERS, NUMBERS, ONE_OPERAND
from torch import Tensor

from caffe2op_atomics import ops

pytestmark = pytest.mark.usefixtures("device")

dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=str)
ops_and_dtypes = pytest.mark.parametrize(
    ("op", "dtype"), [(op.name, dtype) for op in ONE_OPERAND for dtype in op.dtypes], ids=str
)
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
    """Small numbers, all different where the dtype has as many."""
    values = torch.arange(start, start + math.prod(shape)).reshape(shape)
    return values % 2 == 1 if dtype == torch.bool else values.to(dtype)


@ops_and_dtypes
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


@ops_and_dtypes
@pytest.mark.parametrize("layout", LAYOUTS)
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


@ops_and_dtypes
def test_neighbours_of_the_target_keep_every_byte(op, dtype):
    """Words of 16 bytes are updated at once: all ways to start and end inside of one."""
    word = 16 // dtype.itemsize
    lengths = sorted({0, 1, 2, word - 1, word, word + 1, 2 * word + 1})
    for start, length, shift in itertools.product(range(word + 1), lengths, (0, 1)):
        base = numbers((4 * word + 4,), dtype, 10)
        other = numbers((4 * word + 4,), dtype, 50)[shift : shift + length]
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
    base = torch.tensor([[1, 0], [1, 1], [0, 1], [0, 0]]).to(dtype)
    ops.max_(base[:, 0], base[:, 1])
    assert base.flatten().tolist() == [1, 0, 1, 1, 1, 1, 0, 0]


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
    target = torch.tensor([[0, 1, 0], [0, 1, 1]]).to(dtype)
    old, success = ops.compare_exchange(target, torch.tensor([0, 0, 0]).to(dtype), 1)
    assert old.tolist() == [[0, 1, 0], [0, 1, 1]]
    assert success.tolist() == [[True, False, True], [True, False, False]]
    assert target.tolist() == [[1, 1, 1], [1, 1, 1]]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_compare_exchange_compares_bits(dtype):
    target = torch.tensor([math.nan, 0.0, -0.0], dtype=dtype)
    expected = torch.tensor([math.nan, -0.0, -0.0], dtype=dtype)
    _, success = ops.compare_exchange(target, expected, 1)
    assert success.tolist() == [True, False, True]
    assert target.tolist() == [1, 0, 1]


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integers_wrap(dtype):
    limits = torch.iinfo(dtype)
    for op, start, end in [
        ("fetch_add", limits.max, limits.min),
        ("fetch_sub", limits.min, limits.max),
        ("add_", limits.max, limits.min),
        ("sub_", limits.min, limits.max),
    ]:
        for size in (1, 3, 40):
            target = torch.full((size,), start, dtype=dtype)
            getattr(ops, op)(target, 1)
            assert target.tolist() == [end] * size


SPECIAL = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.5, 6e-8, 65504.0, 3.0e38]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("op", ["fetch_add", "fetch_sub", "fetch_min", "fetch_max"])
def test_special_numbers_are_calculated_with_as_torch_does(op, dtype):
    pairs = torch.tensor(list(itertools.product(SPECIAL, SPECIAL)), dtype=dtype)
    torchs = {"add": torch.add, "sub": torch.sub, "min": torch.minimum, "max": torch.maximum}
    for cells, others in (pairs.unbind(1), (pairs[:1, 0].clone(), pairs[:1, 1])):
        target = cells.clone()
        expected = torchs[op.removeprefix("fetch_")](cells, others)
        getattr(ops, op)(target, others)
        torch.testing.assert_close(target, expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("op", ["min_", "max_"])
def test_of_two_zeros_the_one_in_the_target_stays(op, dtype):
    for size in (1, 20):
        for zero in (0.0, -0.0):
            target = torch.full((size,), zero, dtype=dtype)
            getattr(ops, op)(target, -zero)
            assert target.signbit().eq(math.copysign(1, zero) < 0).all()


@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
@pytest.mark.parametrize(("op", "sign"), [("add_", 1), ("sub_", -1)])
@pytest.mark.parametrize("size", [1, 4, 37])
def test_alpha_scales_other(size, op, sign, dtype):
    for alpha in [1, 3, -2, 0] + ([0.5] if dtype.is_floating_point else []):
        target, other = numbers((size,), dtype, 10), numbers((size,), dtype, 1)
        getattr(ops, op)(target, other, alpha=alpha)
        expected = [held(dtype, 10 + i + sign * alpha * (1 + i)) for i in range(size)]
        assert target.tolist() == expected


@ops_and_dtypes
def test_wrapper_takes_numbers(op, dtype):
    target = numbers((3,), dtype, 10)
    value = 1 if dtype == torch.bool else 4
    expected = [after(op, dtype, old, value) for old in target.tolist()]
    getattr(ops, op)(target, value)
    assert target.tolist() == expected


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_a_sum_of_small_floats_is_rounded_once(dtype):
    one, step = 1.0, torch.finfo(dtype).eps
    for size in (1, 50):
        target = torch.full((size,), one, dtype=dtype)
        ops.add_(target, 0.75, alpha=step / 2)  # 0.375 steps, lost
        assert target.eq(one).all()
        ops.add_(target, 0.75, alpha=step)  # 0.75 steps, one
        assert target.eq(one + step).all()


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_special_values_survive(value):
    target = torch.zeros(3)
    ops.store_(target, value)
    for element, loaded in itertools.product(target.tolist(), ops.load(target).tolist()):
        assert (element == value and loaded == value) or (element != element and loaded != loaded)


@pytest.mark.parametrize("op", ["load", *(op.name for op in ONE_OPERAND if op.dtypes != BITS)])
def test_empty_target_of_many_dimensions_is_left_alone(op):
    target = torch.zeros(1).as_strided((0, *(2,) * 300), (1,) * 301)
    others = () if op == "load" else (torch.tensor(1.0),)
    getattr(ops, op)(target, *others)
    ops.index_add_(target, 0, torch.zeros(0, dtype=torch.int64), 1.0)


def test_target_of_sixty_dimensions_is_updated():
    target = torch.zeros((2,) * 3 + (1,) * 57)
    ops.add_(target.transpose(0, 2), 1)
    assert target.eq(1).all()


def test_version_counter_does_not_change():
    target = torch.zeros(3)
    ops.fetch_add(target, 1)
    assert target._version == 0
