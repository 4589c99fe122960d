"""The kernels for GPUs, run on the CPU (emulation.py), do what those of the CPU do."""

from __future__ import annotations

import threading

import pytest
import torch
from emulation import compare, emulated, same, with_dtypes
from op_table import DENSE, INDEXED, INTEGERS, NUMBER, NUMBERS
from torch import Tensor

pytestmark = pytest.mark.usefixtures("emulation")

atomics = torch.ops.atomics


@with_dtypes(DENSE + NUMBER + INDEXED)
def test_op_does_what_it_does_on_the_cpu(op, dtype):
    compare(op, op.arguments(dtype), **op.keywords)


@with_dtypes(DENSE + NUMBER + INDEXED)
def test_op_touches_cells_in_the_scope_of_its_thread_only(emulation, machine, op, dtype):
    for only_device in (0, 1):
        before = list(machine.touched)
        emulation.atomics_set_device_scope(only_device)
        compare(op, op.arguments(dtype), **op.keywords)
        emulation.atomics_set_device_scope(0)
        new = [now > then for now, then in zip(machine.touched, before, strict=True)]
        assert new == [not only_device, bool(only_device)]


def test_scope_is_that_of_one_thread(emulation, machine):
    emulation.atomics_set_device_scope(1)
    before = machine.touched[1]
    target = torch.zeros(3)
    thread = threading.Thread(target=emulated.add_, args=(target, torch.ones(3)))
    thread.start()
    thread.join()
    emulation.atomics_set_device_scope(0)
    assert machine.touched[1] == before
    assert target.tolist() == [1, 1, 1]


LAYOUTS = {
    "one": lambda base: base[:1, :1, 0],
    "long": lambda base: base.flatten()[3:],
    "transposed": lambda base: base.permute(2, 0, 1),
    "gaps": lambda base: base[::2, 1:, ::3],
    "column": lambda base: base[:, 2, 5],
}
# Two numbers of a layout at most are equal to a third, in a small integer's range.
SIZE = (7, 5, 29)


def numbers(dtype: torch.dtype, start: int) -> Tensor:
    values = torch.arange(start, start + 7 * 5 * 29).reshape(SIZE) * 7 % 101
    return values % 2 == 0 if dtype == torch.bool else values.to(dtype)


WITH_OPERANDS = [op for op in DENSE if op.takes_operands]


@pytest.mark.parametrize("layout", LAYOUTS)
@with_dtypes(WITH_OPERANDS)
def test_layouts_are_walked_as_on_the_cpu(op, dtype, layout):
    count = sum(isinstance(each, Tensor) for each in op.arguments(dtype)) - 1
    for broadcast in (False, True):
        target = LAYOUTS[layout](numbers(dtype, 1))
        others = [LAYOUTS[layout](numbers(dtype, 10 * (k + 2))) for k in range(count)]
        if broadcast:
            others = [other[..., :1] for other in others]
        compare(op, (target, *others))


SPECIAL = [0.0, -0.0, 1.0, float("inf"), -float("inf"), float("nan"), 3.5, -2.0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("op", WITH_OPERANDS, ids=lambda op: op.name)
def test_special_numbers_are_those_of_the_cpu(op, dtype):
    if dtype not in op.dtypes:
        return
    count = sum(isinstance(each, Tensor) for each in op.arguments(dtype)) - 1
    first = torch.tensor(SPECIAL, dtype=dtype).repeat_interleave(len(SPECIAL))
    others = [torch.tensor(SPECIAL, dtype=dtype).repeat(len(SPECIAL)) for _ in range(count)]
    compare(op, (first, *others))


@pytest.mark.parametrize("alpha", [1, -1, 3])
@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
@pytest.mark.parametrize("name", ["add_", "sub_"])
def test_alpha_scales(name, dtype, alpha):
    for offset in range(4):  # of words from where they are aligned
        target, other = numbers(dtype, 3).flatten()[offset:], numbers(dtype, 50).flatten()[1:]
        expected = target.clone()
        n = min(len(target), len(other))
        getattr(emulated, name)(target[:n], other[:n], alpha)
        getattr(atomics, name)(expected[:n], other[:n], alpha)
        assert same(target, expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_seed_rounds_as_on_the_cpu(dtype):
    target, other = numbers(dtype, 3).flatten(), torch.full((7 * 5 * 29,), 0.3, dtype=dtype)
    expected = target.clone()
    emulated.add_(target, other, 0.37, 5)
    atomics.add_(expected, other, 0.37, 5)
    assert same(target, expected)


@pytest.mark.parametrize("index_dtype", [torch.int32, torch.int64], ids=str)
@pytest.mark.parametrize("shape", [(), (1,), (3,), (8,), (16,), (2, 24)])
@pytest.mark.parametrize("alpha", [1, 2])
@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
def test_rows_that_meet_get_the_sum_of_all(dtype, alpha, shape, index_dtype):
    index = (torch.arange(100) * 7 % 11 % 6).to(index_dtype)
    source = (torch.arange(100 * max(1, torch.Size(shape).numel())) % 2).to(dtype)
    source = source.reshape(100, *shape)
    for target in (
        torch.zeros(6, *shape, dtype=dtype),
        torch.zeros(*reversed((12, *shape)), dtype=dtype).permute(*range(len(shape), -1, -1))[::2],
    ):
        expected = target.clone()
        emulated.index_add_(target, 0, index, source, alpha)
        atomics.index_add_(expected, 0, index, source, alpha)
        assert same(target, expected)


@pytest.mark.parametrize("rows", [1, 3])  # of one, all lanes of a warp draw together
@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_tickets_are_drawn_once(dtype, rows):
    index = torch.arange(90) % 7 % rows
    target = torch.zeros(rows, dtype=dtype)
    drawn = emulated.index_fetch_add(target, 0, index, torch.ones(90, dtype=dtype))
    for row in range(rows):
        count = int((index == row).sum())
        assert sorted(drawn[index == row].tolist()) == list(range(count))
        assert target[row] == count


@pytest.mark.parametrize("name", ["index_add_", "index_fetch_add", "index_min_", "index_exchange"])
@pytest.mark.parametrize("shape", [(), (3,), (8,)])
@pytest.mark.parametrize("dtype", [torch.int64, torch.float32], ids=str)
def test_index_that_does_not_fit_is_left_out_and_raised_later(name, shape, dtype):
    target = torch.full((3, *shape), 5, dtype=dtype)
    index = torch.tensor([0, 3, 2, -1])
    getattr(emulated, name)(target, 0, index, torch.ones(4, *shape, dtype=dtype))
    assert target[1].eq(5).all()
    assert target[0].ne(5).all()
    with pytest.raises(
        RuntimeError, match=rf"^{name}: index must lie in \[0, 3\), got -1 in an ear"
    ):
        emulated.load(target)
    assert emulated.load(target).equal(target)


def test_call_that_a_graph_would_not_repeat_is_not_captured(machine):
    target, other = torch.zeros(3, dtype=torch.bfloat16), torch.ones(3, dtype=torch.bfloat16)
    machine.captures = 1
    emulated.add_(target, other)
    message = "^add_: seed must be None in a call that is captured, of which all replays would"
    with pytest.raises(RuntimeError, match=message):
        emulated.add_(target, other, 1, 5)
    message = "^fetch_add: call must not be captured, which cannot wait for its number, got a CUDA"
    with pytest.raises(RuntimeError, match=message):
        emulated.fetch_add.float(target[:1], 1)
    machine.captures = 0
    assert target.tolist() == [1, 1, 1]
