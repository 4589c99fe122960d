"""guarded_index_adagrad_ against torch.optim.Adagrad, which takes sparse gradients."""

from __future__ import annotations

import math

import pytest
import torch
from op_table import FUSED_DTYPES, moment_dtype
from test_fused import close, random
from torch import Tensor

from caffe2op_atomics import ops

atomics = torch.ops.atomics

# Few stripes, many, and rows that cross them; and rows of matrices.
TABLES = [(50, 8), (9000, 16), (3000, 100), (60, 5000), (4000, 3, 7)]
tables = pytest.mark.parametrize("shape", TABLES, ids=str)
dtypes = pytest.mark.parametrize("dtype", FUSED_DTYPES, ids=str)

OPTIONS = [{}, {"lr_decay": 0.3, "eps": 0.01}, {"maximize": True}]


def rows_of(shape: tuple[int, ...], seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(shape[0], generator=generator)[:40]


def new_steps() -> Tensor:
    return torch.zeros(1, dtype=torch.int64)


@pytest.mark.filterwarnings("ignore:Sparse invariant checks are implicitly disabled")
@tables
@dtypes
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_sparse_steps_are_those_of_torch(options, dtype, shape):
    param = random(shape, dtype, 0)
    widened = param.to(moment_dtype(dtype))
    sums, steps, bank = torch.zeros_like(widened), new_steps(), atomics.create_mutex(16)
    reference = torch.optim.Adagrad([widened], lr=0.1, foreach=False, **options)
    for step in range(4):
        index = rows_of(shape, step)
        source = random((len(index), *shape[1:]), dtype, step + 1)
        widened.grad = torch.sparse_coo_tensor(index[None], source.to(widened.dtype), shape)
        reference.step()
        widened.data.copy_(widened.to(dtype))
        index = index.int() if step % 2 else index
        result = ops.guarded_index_adagrad_(
            bank, param, 0, index, source, sums, steps, lr=0.1, first=3, **options
        )
        assert result is param
    close(param, widened.to(dtype))
    torch.testing.assert_close(sums, reference.state[widened]["sum"])
    assert steps.tolist() == [4]


def one_by_one(param: Tensor, index: Tensor, source: Tensor, sums: Tensor) -> None:
    """Row-wise Adagrad (eps 0.01, lr 0.1) in plain Python."""
    for row, gradient in zip(index.tolist(), source.double(), strict=True):
        sums[row] += gradient.square().mean()
        param[row] -= 0.1 * gradient / (math.sqrt(sums[row]) + 0.01)


@tables
@dtypes
@pytest.mark.parametrize("n", [1, 16])
def test_row_wise_steps_have_one_sum_for_a_row(n, dtype, shape):
    param = random(shape, dtype, 0)
    sums, steps = torch.zeros(shape[0], dtype=moment_dtype(dtype)), new_steps()
    expected, expected_sums = param.double(), torch.zeros(shape[0], dtype=torch.float64)
    index = rows_of(shape, 0)
    index[1::5] = index[0]  # equal ones are steps one after the other
    source = random((len(index), *shape[1:]), dtype, 1)
    one_by_one(expected, index, source, expected_sums)
    ops.guarded_index_adagrad_(
        atomics.create_mutex(n), param, 0, index, source, sums, steps, lr=0.1, eps=0.01
    )
    torch.testing.assert_close(sums, expected_sums.to(sums.dtype), rtol=1e-5, atol=0)
    repeated = torch.zeros(shape[0], dtype=torch.bool).index_fill_(0, index[:1], True)
    close(param[~repeated], expected[~repeated].to(dtype))
    tolerance = 0.05 if dtype == torch.bfloat16 else 1e-5  # is rounded after each
    torch.testing.assert_close(
        param[repeated].double(), expected[repeated], rtol=tolerance, atol=tolerance
    )
    assert steps.item() == 1


@dtypes
def test_equal_indices_are_steps_one_after_the_other(dtype):
    shape = (6, 4)
    one, many = random(shape, dtype, 0), random(shape, dtype, 0)
    sums = [torch.zeros(shape, dtype=moment_dtype(dtype)) for _ in range(2)]
    index, source = torch.tensor([3, 3, 5, 3]), random((4, 4), dtype, 1)
    bank = atomics.create_mutex()
    ops.guarded_index_adagrad_(bank, many, 0, index, source, sums[0], new_steps(), lr=0.1)
    for k in range(4):
        args = (index[k : k + 1], source[k : k + 1], sums[1], new_steps())
        ops.guarded_index_adagrad_(bank, one, 0, *args, lr=0.1)
    assert torch.equal(one, many)
    assert torch.equal(*sums)


@pytest.mark.parametrize("row_wise", [False, True])
def test_strided_table_gradients_and_sums(row_wise):
    table = torch.zeros(7, 9000).t()[::2]  # 4500 rows of 7
    plain = torch.zeros(4500, 7)
    index, source = rows_of((4500, 7), 0), random((7, 40), torch.float32, 1).t()
    shape = (4500, 1) if row_wise else (4500, 7)
    sums = [torch.zeros(2 * shape[0], shape[1])[::2], torch.zeros(shape)]
    if row_wise:
        sums = [each[:, 0] for each in sums]
    for param, each in zip((table, plain), sums, strict=True):
        ops.guarded_index_adagrad_(
            atomics.create_mutex(3), param, 0, index, source, each, new_steps(), lr=0.1
        )
    torch.testing.assert_close(table, plain)
    torch.testing.assert_close(*sums)


def test_table_of_one_dimension_has_a_sum_for_each_element():
    table, sums = torch.zeros(70_000), torch.zeros(70_000)
    args = (torch.tensor([69_999, 5]), torch.tensor([2.0, -3.0]), sums, new_steps())
    ops.guarded_index_adagrad_(atomics.create_mutex(3), table, 0, *args, lr=0.5)
    assert table[[5, 69_999]].tolist() == [0.5, -0.5]
    assert sums[[5, 69_999]].tolist() == [9, 4]
    assert table.count_nonzero() == 2


def test_step_without_rows_is_counted():
    none, steps = torch.zeros(0, dtype=torch.int64), torch.tensor([7])
    args = (none, torch.zeros(0, 2), torch.zeros(3, 2), steps)
    ops.guarded_index_adagrad_(atomics.create_mutex(), torch.ones(3, 2), 0, *args, lr=1)
    assert steps.item() == 8
