"""fetch_add_below and fetch_add_checked: they add, or leave the target alone and say so."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from op_table import FLOATS, INTEGERS
from support import run_threads
from torch import Tensor

from caffe2op_atomics import ops

pytestmark = pytest.mark.usefixtures("device")

ROUNDS = 12  # of threads that start together: they do not meet in each


def edges(dtype: torch.dtype) -> list[int]:
    limits = torch.iinfo(dtype)
    middle = {limits.min, limits.min + 1, limits.max - 1, limits.max, -1, 0, 1, 2}
    return sorted(value for value in middle if limits.min <= value <= limits.max)


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_checked_adds_exactly_where_the_sum_fits(dtype):
    limits = torch.iinfo(dtype)
    pairs = list(itertools.product(edges(dtype), edges(dtype)))
    start, other = torch.tensor(pairs, dtype=dtype).unbind(1)
    target = start.clone()
    old, overflowed = ops.fetch_add_checked(target, other)
    fits = [limits.min <= a + b <= limits.max for a, b in pairs]
    assert overflowed.tolist() == [not fit for fit in fits]
    assert old.tolist() == start.tolist()
    assert target.tolist() == [a + b if fit else a for (a, b), fit in zip(pairs, fits, strict=True)]


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_below_adds_exactly_where_the_sum_fits_and_is_at_most_the_limit(dtype):
    limits = torch.iinfo(dtype)
    triples = list(itertools.product(edges(dtype), edges(dtype), edges(dtype)))
    start, other, limit = torch.tensor(triples, dtype=dtype).unbind(1)
    target = start.clone()
    old, success = ops.fetch_add_below(target, other, limit)
    adds = [limits.min <= a + b <= min(limits.max, most) for a, b, most in triples]
    assert success.tolist() == adds
    assert old.tolist() == start.tolist()
    after = [a + b if add else a for (a, b, _), add in zip(triples, adds, strict=True)]
    assert target.tolist() == after


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_below_never_adds_a_nan_nor_beyond_the_limit(dtype):
    cases = [
        # target, other, limit, added
        (1.0, 1.0, 2.0, True),
        (1.0, 1.5, 2.0, False),
        (math.nan, 1.0, math.inf, False),
        (1.0, math.nan, math.inf, False),
        (1.0, 1.0, math.nan, False),
        (1.0, -math.inf, 0.0, True),
        (5.0, -1.0, 4.0, True),
        (5.0, -0.5, 4.0, False),
        (1.0, torch.finfo(dtype).eps, 1.0, False),
        (1.0, torch.finfo(dtype).eps / 4, 1.0, True),  # the cell would hold 1, which is no more
    ]
    start, other, limit = torch.tensor([case[:3] for case in cases], dtype=dtype).unbind(1)
    target = start.clone()
    _, success = ops.fetch_add_below(target, other, limit)
    assert success.tolist() == [case[3] for case in cases]
    unchanged = ~success
    torch.testing.assert_close(target[unchanged], start[unchanged], equal_nan=True, rtol=0, atol=0)
    assert target[0] == 2


def take_permits(_: int, permits: Tensor, limit: int, taken: list[Tensor]) -> None:
    mine = torch.zeros_like(permits)
    for _call in range(60):
        _, success = ops.fetch_add_below(permits, 1, limit)
        mine += success
    taken.append(mine)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bfloat16], ids=str)
def test_threads_take_each_permit_once_and_never_one_too_many(dtype):
    """Three threads try 60 times for each of 100 permits of every element."""
    for _ in range(ROUNDS):
        permits = torch.zeros(20_000, dtype=dtype)
        taken: list[Tensor] = []
        run_threads(3, take_permits, permits, 100, taken)
        assert permits.eq(100).all()
        assert sum(mine.int() for mine in taken).eq(100).all()


def count_checked(_: int, counters: Tensor, refused: list[Tensor]) -> None:
    mine = torch.zeros_like(counters, dtype=torch.int32)
    for _call in range(60):
        _, overflowed = ops.fetch_add_checked(counters, 1)
        mine += overflowed
    refused.append(mine)


def test_threads_fill_checked_counters_to_the_brim_and_no_further():
    for _ in range(ROUNDS):
        counters = torch.zeros(20_000, dtype=torch.int8)
        refused: list[Tensor] = []
        run_threads(3, count_checked, counters, refused)
        assert counters.eq(127).all()
        assert sum(refused).eq(3 * 60 - 127).all()
