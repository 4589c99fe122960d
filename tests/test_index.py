"""The indexed ops against a plain loop over the indices, one after the other."""

from __future__ import annotations

import pytest
import torch
from meaning import after
from op_table import BITS, DTYPES, INDEXED, NUMBERS
from torch import Tensor

from caffe2op_atomics import ops

# What does not depend on an order of indices, which a GPU does not keep.
each_device = pytest.mark.usefixtures("device")

numbers = pytest.mark.parametrize("dtype", NUMBERS, ids=str)
# Those with one source.
OPS = {op.name: op.dtypes for op in INDEXED if op.name != "index_compare_exchange"}


def small(shape: tuple[int, ...], dtype: torch.dtype, generator: torch.Generator) -> Tensor:
    """Return numbers whose sums are exact in every dtype of an op, if few meet."""
    if dtype == torch.bool:
        return torch.rand(shape, generator=generator) < 0.5
    low = 0 if dtype == torch.uint8 else -2
    return torch.randint(low, 3, shape, generator=generator).to(dtype)


def plain_loop(op: str, target: Tensor, index: list[int], source: Tensor) -> tuple[Tensor, Tensor]:
    """Return what target and the fetched values are afterwards."""
    rows = target.reshape(target.size(0), -1).tolist()
    found = []
    for row, values in zip(index, source.reshape(len(index), -1).tolist(), strict=True):
        found.append(rows[row])
        pairs = zip(rows[row], values, strict=True)
        rows[row] = [after(op, target.dtype, old, value) for old, value in pairs]
    shaped = torch.tensor(rows, dtype=target.dtype).reshape(target.shape)
    return shaped, torch.tensor(found, dtype=target.dtype).reshape(source.shape)


@each_device
@pytest.mark.parametrize(
    ("op", "dtype"), [(op, dtype) for op, dtypes in OPS.items() for dtype in dtypes], ids=str
)
@pytest.mark.parametrize("rows", [1, 7, 10_000])
@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 20)])
@pytest.mark.parametrize("count", [0, 1, 40])
def test_indices_act_one_after_the_other(count, shape, rows, op, dtype):
    generator = torch.Generator(torch.get_default_device()).manual_seed(count + rows)
    index = torch.randint(0, rows, (count,), generator=generator)
    if index.is_cuda and op in ("index_fetch_add", "index_exchange"):
        index = index.unique()
        count = len(index)
    source = small((count, *shape), dtype, generator)
    target = small((rows, *shape), dtype, generator)
    touched = index.unique()
    before = target.clone()
    # The loop is slow: only over the rows that are indexed.
    place = {row: i for i, row in enumerate(touched.tolist())}
    local = [place[row] for row in index.tolist()]
    expected, found = plain_loop(op, target[touched], local, source) if count else (None, source)
    result = getattr(ops, op)(target, 0, index, source)
    if count:
        assert torch.equal(target[touched], expected)
    untouched = torch.ones(rows, dtype=torch.bool).index_fill_(0, index, False)
    assert torch.equal(target[untouched], before[untouched])
    if op in ("index_fetch_add", "index_exchange"):
        assert torch.equal(result, found)
        assert result.is_contiguous()
    else:
        assert result is target


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (3,), (2, 5)])
def test_compare_exchange_of_equal_indices_goes_in_order(shape, dtype):
    generator = torch.Generator().manual_seed(0)
    index = torch.randint(0, 6, (200,), generator=generator)
    target, expected, desired = (small((n, *shape), dtype, generator) for n in (6, 200, 200))
    rows, olds, successes = target.clone(), [], []
    for i, row in enumerate(index.tolist()):
        olds.append(rows[row].clone())
        successes.append(rows[row] == expected[i])
        rows[row] = torch.where(successes[-1], desired[i], rows[row])
    old, success = ops.index_compare_exchange(target, 0, index, expected, desired)
    assert torch.equal(target, rows)
    assert torch.equal(old, torch.stack(olds))
    assert torch.equal(success, torch.stack(successes))


@each_device
@numbers
def test_alpha_scales_every_source(dtype):
    for shape in ((), (3,)):
        target = torch.zeros(4, *shape, dtype=dtype)
        ops.index_add_(target, 0, torch.tensor([3, 1, 3]), 2, alpha=3)
        assert target.reshape(4, -1)[:, 0].tolist() == [0, 6, 0, 12]


@each_device
@pytest.mark.parametrize("op", OPS)
def test_number_is_a_source_for_every_index(op):
    dtype = torch.int32
    one, many = (torch.full((4, 2), 6, dtype=dtype) for _ in range(2))
    index = torch.tensor([3, 1, 3])
    getattr(ops, op)(one, 0, index, 5)
    getattr(ops, op)(many, 0, index, torch.full((3, 2), 5, dtype=dtype))
    assert torch.equal(one, many)


@each_device
@pytest.mark.parametrize("op", OPS)
def test_strided_target_index_and_source(op):
    dtype = torch.int16 if OPS[op] == BITS else torch.float32
    base = torch.zeros(6, 8, dtype=dtype)
    target = base.t()[::2]  # 4 rows of 6, neither dimension contiguous
    index = torch.tensor([0, 9, 3, 9, 0, 9])[::2]
    source = torch.arange(36).reshape(6, 6).to(dtype).t()[:3]
    if index.is_cuda and op == "index_exchange":
        index, source = index[:2], source[:2]
    expected, _ = plain_loop(op, target, index.tolist(), source)
    getattr(ops, op)(target, 0, index, source)
    assert torch.equal(target, expected)
    assert base.t()[1::2].eq(0).all()


@each_device
def test_int32_index_and_negative_name_of_dim_zero():
    target = torch.zeros(3, 2)
    ops.index_add_(target, -2, torch.tensor([1, 1], dtype=torch.int32), 1.0)
    assert target.tolist() == [[0, 0], [2, 2], [0, 0]]


@each_device
@pytest.mark.parametrize("index", [[5] * 300, list(range(0, 300 * 4096, 4096)), [0, 2**20 - 1]])
def test_colliding_and_far_apart_indices(index):
    target = torch.zeros(2**21, dtype=torch.int64)
    ops.index_add_(target, 0, torch.tensor(index), 1)
    assert target.sum() == len(index)
    assert all(target[row] == index.count(row) for row in set(index))


@each_device
def test_table_left_by_another_call_is_not_taken_for_this_one():
    """The grouping table is not cleared between calls, by design."""
    generator = torch.Generator(torch.get_default_device()).manual_seed(0)
    for rows, count in [(10, 500), (10**6, 300), (50, 9), (10**6, 3000), (3, 100), (10**5, 2000)]:
        index = torch.randint(0, rows, (count,), generator=generator)
        target = torch.zeros(rows, dtype=torch.int64)
        ops.index_add_(target, 0, index, 1)
        assert torch.equal(target, torch.bincount(index, minlength=rows))


def test_integers_wrap():
    for shape in ((), (3,)):
        target = torch.full((2, *shape), 2**31 - 1, dtype=torch.int32)
        old = ops.index_fetch_add(target, 0, torch.tensor([0, 0]), 1)
        assert target.reshape(2, -1)[:, 0].tolist() == [-(2**31) + 1, 2**31 - 1]
        assert old.reshape(2, -1)[:, 0].tolist() == [2**31 - 1, -(2**31)]


@pytest.mark.parametrize("shape", [(), (3,), (40,)])
def test_floating_point_sums_go_in_the_order_of_the_call(shape):
    target = torch.zeros(1, *shape)
    source = torch.tensor([1e8, -1e8, 1.0]).reshape(3, *(1 for _ in shape)).expand(3, *shape)
    ops.index_add_(target, 0, torch.zeros(3, dtype=torch.int64), source)
    assert target.eq(1).all()


@pytest.mark.parametrize("shape", [(), (3,), (40,)])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_sums_of_small_floats_are_rounded_once(shape, dtype):
    eps = torch.finfo(dtype).eps
    target = torch.ones(2, *shape, dtype=dtype)
    ops.index_add_(target, 0, torch.tensor([0, 0, 0, 0]), eps / 4)
    assert target[0].eq(1 + eps).all()
    assert target[1].eq(1).all()


@each_device
@pytest.mark.parametrize("shape", [(), (5,)])
def test_negative_zero_is_added_to_negative_zero(shape):
    target = torch.full((2, *shape), -0.0)
    ops.index_add_(target, 0, torch.tensor([0, 1, 1]), -0.0)
    assert target.signbit().all()


@each_device
@pytest.mark.parametrize("shape", [(), (5,)])
@pytest.mark.parametrize("op", [ops.index_min_, ops.index_max_])
def test_nan_wins(op, shape):
    target = torch.zeros(2, *shape)
    source = torch.tensor([1.0, float("nan"), -1.0]).reshape(3, *(1 for _ in shape))
    op(target, 0, torch.tensor([0, 0, 0]), source.expand(3, *shape).clone())
    assert target[0].isnan().all()
    assert target[1].eq(0).all()


@each_device
def test_index_without_elements_changes_nothing_of_a_target_of_any_shape():
    none = torch.zeros(0, dtype=torch.int64)
    for shape in [(0,), (4,), (0, 3), (4, 0), (2**62, 0)]:
        target = torch.zeros(shape)
        torch.ops.atomics.index_add_(target, 0, none, torch.zeros(0, *shape[1:]))
        assert not target.any()
