"""The loops that the benchmark compares with do what our ops do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
from _per_element import build

NUMBERS = [0.0, 1.0, -2.5, 0.1, 3e38, float("inf"), float("nan")]


@pytest.fixture(scope="module")
def loops():
    return build()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_adding_per_element_rounds_as_torch_does(loops, dtype):
    target = torch.tensor([a for a in NUMBERS for _ in NUMBERS], dtype=dtype)
    other = torch.tensor([b for _ in NUMBERS for b in NUMBERS], dtype=dtype)
    expected = target.add(other, alpha=2)
    name = f"add_{str(dtype).removeprefix('torch.')}"
    getattr(loops, name)(target.data_ptr(), other.data_ptr(), target.numel(), 2.0)
    torch.testing.assert_close(target, expected, rtol=0, atol=0, equal_nan=True)


def test_fetching_per_element_stores_what_was_there(loops):
    target, other = torch.tensor([[1, 2, 2**31 - 1], [10, -20, 1]], dtype=torch.int32)
    old = torch.zeros_like(target)
    loops.fetch_add_int32(target.data_ptr(), other.data_ptr(), old.data_ptr(), 3)
    assert old.tolist() == [1, 2, 2**31 - 1]
    assert target.tolist() == [11, -18, -(2**31)]
