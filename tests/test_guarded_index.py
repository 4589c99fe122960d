"""guarded_index_add_ against torch.Tensor.index_add_: equal bits, on every path through a bank."""

from __future__ import annotations

import pytest
import torch
from op_table import INTEGERS, NUMBERS
from torch import Tensor

from caffe2op_atomics import ops

atomics = torch.ops.atomics

numbers = pytest.mark.parametrize("dtype", NUMBERS, ids=str)
banks = pytest.mark.parametrize("n", [1, 3, 16, 1024])

# Shapes of tables: of few stripes and of many, rows within a stripe and across several.
TABLES = {
    "few elements": (50,),
    "many elements": (300_000,),
    "few rows": (200, 10),
    "many rows": (5000, 64),
    "rows that cross": (3000, 100),
    "rows longer than a stripe": (60, 5000),
    "rows of matrices": (4000, 3, 5),
    "rows of nothing": (7, 0),
}
tables = pytest.mark.parametrize("table", TABLES)


def integers(shape: tuple[int, ...], dtype: torch.dtype, generator: torch.Generator) -> Tensor:
    low = 0 if dtype == torch.uint8 else -3
    return torch.randint(low, 4, shape, generator=generator).to(dtype)


def added(target: Tensor, index: Tensor, source: Tensor) -> Tensor:
    """Return what has to be there: a 16-bit float is rounded once."""
    if target.dtype in (torch.float16, torch.bfloat16):
        sums = torch.zeros(target.shape).index_add_(0, index, source.float())
        return (target.float() + sums).to(target.dtype)
    return target.clone().index_add_(0, index, source)


@numbers
@banks
@tables
@pytest.mark.parametrize("index_dtype", [torch.int32, torch.int64], ids=str)
def test_rows_are_added(index_dtype, table, n, dtype):
    generator = torch.Generator().manual_seed(n)
    rows, *row = TABLES[table]
    index = torch.randint(0, rows, (70,), generator=generator, dtype=index_dtype)
    index[::7] = index[0]
    target = integers((rows, *row), dtype, generator)
    source = integers((70, *row), dtype, generator)
    expected = added(target, index, source)
    bank = atomics.create_mutex(n)
    assert ops.guarded_index_add_(bank, target, 0, index, source, first=5) is target
    assert torch.equal(target, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("alpha", [1, 0.3])
@tables
def test_sums_are_those_of_torch_to_the_last_bit(table, alpha, dtype):
    """Of many equal indices, whose sums depend on their order. torch may fuse alpha's product."""
    generator = torch.Generator().manual_seed(0)
    rows, *row = TABLES[table]
    index = torch.randint(0, 5, (300,), generator=generator) * (rows // 5)
    target = torch.randn((rows, *row), generator=generator, dtype=dtype)
    source = torch.randn((300, *row), generator=generator, dtype=dtype)
    expected = added(target, index, source * alpha)
    ops.guarded_index_add_(atomics.create_mutex(16), target, 0, index, source, alpha)
    assert torch.equal(target, expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("alpha", [1, 0.3])
@tables
def test_rows_of_small_floats_are_rounded_once(table, alpha, dtype):
    """As by index_add_: one after the other, 5000 ones in a bfloat16 would make 256."""
    generator = torch.Generator().manual_seed(0)
    rows, *row = TABLES[table]
    index = torch.randint(0, 5, (5000,), generator=generator) * (rows // 5)
    source = torch.rand((5000, *row), generator=generator).to(dtype)
    target, expected = torch.ones(2, rows, *row, dtype=dtype)
    ops.index_add_(expected, 0, index, source, alpha)
    ops.guarded_index_add_(atomics.create_mutex(16), target, 0, index, source, alpha)
    assert torch.equal(target, expected)
    if expected.numel():
        assert 250 * alpha < expected[0].float().mean() < 1000


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
@pytest.mark.parametrize("rows", [40, 300_000])
def test_alpha_and_overflow_of_integers(rows, dtype):
    generator = torch.Generator().manual_seed(0)
    index = torch.randint(0, rows, (500,), generator=generator)
    index[::3] = 7
    target, source = (torch.full((k,), torch.iinfo(dtype).max, dtype=dtype) for k in (rows, 500))
    expected = target.clone().index_add_(0, index, source, alpha=3)
    ops.guarded_index_add_(atomics.create_mutex(3), target, 0, index, source, alpha=3)
    assert torch.equal(target, expected)


@pytest.mark.parametrize("count", [1, 5, 3000, 200_000])
@pytest.mark.parametrize("rows", [10, 4096 * 16, 4096 * 16 + 1, 10**6])
def test_words_are_counted(rows, count):
    generator = torch.Generator().manual_seed(0)
    index = torch.randint(0, rows, (count,), generator=generator)
    counts = torch.zeros(rows, dtype=torch.int32)
    ops.guarded_index_add_(atomics.create_mutex(16), counts, 0, index, 1)
    assert torch.equal(counts, torch.bincount(index, minlength=rows).int())


@pytest.mark.parametrize("table", [(50, 6), (6000, 40)])
@pytest.mark.parametrize("dtype", [torch.int64, torch.float32, torch.bfloat16], ids=str)
@banks
def test_strided_target_index_and_source(n, dtype, table):
    generator = torch.Generator().manual_seed(0)
    rows, width = table
    layouts = {
        "transposed": torch.zeros(width, rows, dtype=dtype).t(),
        "every other row": torch.zeros(2 * rows + 1, width, dtype=dtype)[1::2],
        "every other column": torch.zeros(rows, 2 * width, dtype=dtype)[:, ::2],
    }
    index = torch.randint(0, rows, (150,), generator=generator)[::3]
    source = integers((width, 100), dtype, generator).t()[::2]
    for target in layouts.values():
        ops.guarded_index_add_(atomics.create_mutex(n), target, 0, index, source)
        expected = torch.zeros(rows, width, dtype=dtype).index_add_(0, index, source)
        assert torch.equal(target, expected)
        # And not the cells between.
        assert target.untyped_storage().nbytes() >= target.nbytes
        total = torch.tensor([], dtype=dtype).set_(target.untyped_storage()).sum()
        assert total == expected.sum()


def test_elements_of_a_strided_column():
    for rows in (100, 100_000):
        base = torch.zeros(rows, 3, dtype=torch.int64)
        index = torch.tensor([5, 0, 99, 5])
        ops.guarded_index_add_(atomics.create_mutex(3), base[:, 1], 0, index, 2)
        assert torch.equal(
            base[:, 1], torch.zeros_like(base[:, 1]).index_add_(0, index, index * 0 + 2)
        )
        assert base.sum() == 8


def test_number_broadcasts_and_dim_may_be_negative():
    target = torch.zeros(3, 2)
    ops.guarded_index_add_(atomics.create_mutex(), target, -2, torch.tensor([1, 1]), 1.5)
    assert target.tolist() == [[0, 0], [3, 3], [0, 0]]
