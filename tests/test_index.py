"""index_add_ against a plain loop over the indices."""

from __future__ import annotations

import pytest
import torch
from op_table import DTYPES
from torch import Tensor

from caffe2op_atomics import ops

dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def plain_loop(target: Tensor, index: list[int], source: Tensor, alpha: float) -> Tensor:
    expected = target.double().clone()
    for i, row in enumerate(index):
        expected[row] += alpha * source[i].double()
    return expected


@dtypes
@pytest.mark.parametrize("rows", [1, 7, 1000, 100_000])
@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3)])
@pytest.mark.parametrize("count", [0, 1, 50, 700])
def test_every_occurrence_counts(count, shape, rows, dtype):
    generator = torch.Generator().manual_seed(count + rows)
    index = torch.randint(0, rows, (count,), generator=generator)
    source = torch.randint(-9, 9, (count, *shape), generator=generator).to(dtype)
    target = torch.randint(-9, 9, (rows, *shape), generator=generator).to(dtype)
    expected = plain_loop(target, index.tolist(), source, 2)
    assert ops.index_add_(target, 0, index, source, alpha=2) is target
    assert torch.equal(target.double(), expected)


@dtypes
def test_number_source_adds_to_every_indexed_row(dtype):
    target = torch.zeros(4, 2, dtype=dtype)
    ops.index_add_(target, 0, torch.tensor([3, 1, 3]), 2)
    assert target.tolist() == [[0, 0], [2, 2], [0, 0], [4, 4]]


@dtypes
def test_strided_target_index_and_source(dtype):
    base = torch.zeros(6, 8, dtype=dtype)
    target = base.t()[::2]  # 4 rows of 6, neither dimension contiguous
    index = torch.tensor([0, 9, 3, 9, 0, 9])[::2]
    source = torch.arange(36).reshape(6, 6).to(dtype).t()[:3]
    expected = plain_loop(target, index.tolist(), source, 1)
    ops.index_add_(target, 0, index, source)
    assert torch.equal(target.double(), expected)
    assert base.t()[1::2].eq(0).all()


def test_int32_index_and_negative_name_of_dim_zero():
    target = torch.zeros(3, 2)
    ops.index_add_(target, -2, torch.tensor([1, 1], dtype=torch.int32), 1.0)
    assert target.tolist() == [[0, 0], [2, 2], [0, 0]]


@pytest.mark.parametrize("index", [[5] * 300, list(range(0, 300 * 4096, 4096)), [0, 2**20 - 1]])
def test_colliding_and_far_apart_indices(index):
    target = torch.zeros(2**21, dtype=torch.int64)
    ops.index_add_(target, 0, torch.tensor(index), 1)
    assert target.sum() == len(index)
    assert all(target[row] == index.count(row) for row in set(index))


def test_table_left_by_another_call_is_not_taken_for_this_one():
    """The grouping table is not cleared between calls, by design."""
    generator = torch.Generator().manual_seed(0)
    for rows, count in [(10, 500), (10**6, 300), (50, 9), (10**6, 3000), (3, 100), (10**5, 2000)]:
        index = torch.randint(0, rows, (count,), generator=generator)
        target = torch.zeros(rows, dtype=torch.int64)
        ops.index_add_(target, 0, index, 1)
        assert torch.equal(target, torch.bincount(index, minlength=rows))


def test_integers_wrap():
    target = torch.full((2,), 2**31 - 1, dtype=torch.int32)
    ops.index_add_(target, 0, torch.tensor([0, 0]), 1)
    assert target.tolist() == [-(2**31) + 1, 2**31 - 1]


def test_floating_point_sums_go_in_the_order_of_the_call():
    target = torch.zeros(1)
    ops.index_add_(target, 0, torch.zeros(3, dtype=torch.int64), torch.tensor([1e8, -1e8, 1.0]))
    assert target.item() == 1.0
