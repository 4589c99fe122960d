"""Calls of the emulated ops in both scopes; _ptx.py has them run on what nvcc makes of the kernels.

Threads take turns at random there: what rows that meet are left with has to be what some order of
whole updates leaves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
import torch
from emulation import Machine, compare, emulated, on_cpu, same, with_dtypes
from op_table import BITS, DENSE, DTYPES, INDEXED, INTEGERS, NUMBER, NUMBERS, Op
from test_cuda_on_cpu import (  # noqa: F401  (tests: run here, too)
    LAYOUTS,
    numbers,
    test_alpha_scales,
    test_layouts_are_walked_as_on_the_cpu,
    test_rows_that_meet_get_the_sum_of_all,
    test_seed_rounds_as_on_the_cpu,
    test_special_numbers_are_those_of_the_cpu,
    test_tickets_are_drawn_once,
)
from torch.utils._pytree import tree_leaves

INDICES = [torch.int32, torch.int64]
ROWS = 5
SHAPES = [(), (3,), (16,)]


@pytest.fixture(autouse=True, params=["system", "device"])
def scope(request: pytest.FixtureRequest, emulation, machine: Machine) -> Iterator[str]:
    """That of all calls: no instruction is of the other one."""
    other = 0 if request.param == "device" else 1
    emulation.atomics_set_device_scope(1 - other)
    before = machine.touched[other]
    yield request.param
    emulation.atomics_set_device_scope(0)
    assert machine.touched[other] == before


@with_dtypes(DENSE + NUMBER)
def test_op_does_what_it_does_on_the_cpu(op, dtype):
    compare(op, op.arguments(dtype), **op.keywords)


@pytest.mark.parametrize("broadcast", [False, True])
@pytest.mark.parametrize("layout", ["one", "long", "gaps"])
@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
@pytest.mark.parametrize("name", ["add_", "sub_"])
def test_layouts_are_scaled_and_rounded_as_on_the_cpu(name, dtype, layout, broadcast):
    for seed in (None, 5) if dtype in (torch.float16, torch.bfloat16) else (None,):
        target, expected, other = (LAYOUTS[layout](numbers(dtype, start)) for start in (1, 1, 50))
        if broadcast:
            other = other[..., :1]
        arguments = (3,) if seed is None else (3, seed)
        getattr(emulated, name)(target, other, *arguments)
        getattr(torch.ops.atomics, name)(expected, other, *arguments)
        assert same(target, expected)


def values(dtype: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
    """Some that are exact in each dtype, and sums of which are, too."""
    count = torch.arange(torch.Size(shape).numel()).reshape(shape)
    return (count * 7 % 5 % 2).to(dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("index_dtype", INDICES, ids=str)
@with_dtypes(INDEXED)
def test_rows_that_do_not_meet_are_changed_as_on_the_cpu(op, dtype, index_dtype, shape):
    others = 2 if "compare" in op.name else 1
    index = torch.tensor([3, 0, 4, 1], dtype=index_dtype)
    sources = [values(dtype, (4 + k, *shape))[k:] for k in range(others)]
    compare(op, (values(dtype, (ROWS, *shape)), 0, index, *sources))


def of(name: str) -> Op:
    return next(op for op in INDEXED if op.name == name)


MEETING = [of(f"index_{name}_") for name in ("min", "max", "and", "or")]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("index_dtype", INDICES, ids=str)
@with_dtypes(MEETING)
def test_rows_that_meet_are_what_any_order_leaves(op, dtype, index_dtype, shape):
    index = (torch.arange(600) * 7 % ROWS).to(index_dtype)
    source = (torch.arange(600 * torch.Size(shape).numel()) * 37 % 113 + 1).reshape(600, *shape)
    target = torch.full((ROWS, *shape), 60).to(dtype)
    compare(op, (target, 0, index, source.to(dtype)))


@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
@pytest.mark.parametrize("alpha", [1, 2])
def test_cells_of_one_warp_and_of_many_lose_no_addition(dtype, alpha):
    # Sums stay exact: of bfloat16 up to 256.
    for count, rows in ((32, 1), (96, 2), (600, 7)):
        index = torch.arange(count) % rows
        for shape in SHAPES:
            target, source = torch.zeros(rows, *shape, dtype=dtype), values(dtype, (count, *shape))
            expected = target.clone()
            emulated.index_add_(target, 0, index, source, alpha)
            torch.ops.atomics.index_add_(expected, 0, index, source, alpha)
            assert same(target, expected)


@pytest.mark.parametrize("index_dtype", INDICES, ids=str)
@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
def test_each_finds_what_another_left(dtype, index_dtype):
    """In a dtype whose numbers are exact up to there."""
    count = 250
    index = (torch.arange(count) % 2).to(index_dtype)
    target = torch.zeros(2, 2, dtype=dtype)
    old = emulated.index_fetch_add(target, 0, index, torch.ones(count, 2, dtype=dtype))
    for row in range(2):
        for column in range(2):
            found = old[index == row, column].to(torch.int64) % 256
            assert sorted(found.tolist()) == list(range(count // 2))
    assert target.eq(count // 2).all()


@pytest.mark.parametrize("index_dtype", INDICES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_exchanged_values_are_kept(dtype, index_dtype):
    index = (torch.arange(120) % 3).to(index_dtype)
    target, source = torch.zeros(3, dtype=dtype), (torch.arange(120) + 1).to(dtype)
    old = emulated.index_exchange(target, 0, index, source)
    for row in range(3):
        put = [0, *source[index == row].tolist()]
        assert Counter(put) == Counter([*old[index == row].tolist(), target[row].item()])


@pytest.mark.parametrize("index_dtype", INDICES, ids=str)
@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_one_of_those_that_expect_the_same_has_it(dtype, index_dtype):
    index = (torch.arange(120) % 3).to(index_dtype)
    target, desired = torch.zeros(3, dtype=dtype), (torch.arange(120) + 1).to(dtype)
    op = on_cpu(of("index_compare_exchange"))
    old, success = op(target, 0, index, torch.zeros(120, dtype=dtype), desired)
    for row in range(3):
        winners = desired[(index == row) & success]
        assert winners.tolist() == [target[row].item()]
        assert old[(index == row) & ~success].eq(target[row]).all()


def by_element(*tensors: object) -> list[str]:
    """Return what each element has in all of them."""
    leaves = [each.flatten().tolist() for each in tree_leaves(tensors) if each is not None]
    return [repr(each) for each in zip(*leaves, strict=True)]


@with_dtypes([op for op in DENSE if op.name != "load"])
def test_two_calls_at_once_leave_what_one_after_the_other_leaves(emulation, op, dtype):
    count = len(op.arguments(dtype)) - 1

    def fresh(start: int) -> torch.Tensor:
        return LAYOUTS["long"](numbers(dtype, start))

    calls = [[fresh(10 * (k + 2 * n)) for n in range(count)] for k in (1, 2)]
    orders = []
    for order in ((0, 1), (1, 0)):
        target, found = fresh(1), [None, None]
        for k in order:
            found[k] = op.overload(target, *calls[k])
        orders.append(by_element(found, target))
    target = fresh(1)
    emulation.ptx_together(2)
    found = by_element([on_cpu(op)(target, *operands) for operands in calls], target)
    for each, *expected in zip(found, *orders, strict=True):
        assert each in expected


@pytest.mark.parametrize("dtype", BITS, ids=str)
@pytest.mark.parametrize("index_dtype", INDICES, ids=str)
def test_index_that_does_not_fit_is_left_out(dtype, index_dtype):
    index = (torch.arange(96) % 5 - 1).to(index_dtype)
    inside = (index >= 0) & (index < 3)
    for name in ("index_or_", "index_add_", "index_fetch_add"):
        if dtype not in of(name).dtypes:
            continue
        target, source = torch.zeros(3, dtype=dtype), torch.ones(96, dtype=dtype)
        expected = target.clone()
        getattr(emulated, name)(target, 0, index, source)
        getattr(torch.ops.atomics, name)(expected, 0, index[inside], source[inside])
        assert same(target, expected)
        with pytest.raises(RuntimeError, match=rf"^{name}: index must lie in \[0, 3\), got (3|-1)"):
            emulated.load(target)
