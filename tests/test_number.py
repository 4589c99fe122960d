"""The `.int` and `.float` overloads, and which overload torch picks."""

from __future__ import annotations

import pytest
import torch
from op_table import NUMBER

atomics = torch.ops.atomics
INTS = [torch.int32, torch.int64]
FLOATS = [torch.float32, torch.float64]


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
@pytest.mark.parametrize("dtype", INTS + FLOATS, ids=str)
def test_number_overloads_update_one_element_and_return_numbers(dtype, shape):
    kind = "float" if dtype.is_floating_point else "int"
    number = float if dtype.is_floating_point else int
    target = torch.full(shape, 5, dtype=dtype)

    def call(op, *args):
        result = getattr(getattr(atomics, op), kind)(target, *(number(arg) for arg in args))
        assert result is None or type(result) in (number, tuple)
        return result

    assert call("load") == 5
    assert call("fetch_add", 3) == 5
    assert call("fetch_sub", 1) == 8
    assert call("exchange", 20) == 7
    assert call("add_", 2) is None
    assert call("sub_", 4) is None
    assert call("load") == 18
    assert call("compare_exchange", 1, 2) == (18, False)
    assert call("compare_exchange", 18, 2) == (18, True)
    assert call("store_", 9) is None
    assert target.item() == 9


def test_tensor_overload_is_tried_first():
    for op in {op.name.split(".")[0] for op in NUMBER}:
        assert getattr(atomics, op).overloads()[0] == "default"
    old = atomics.fetch_add(torch.zeros(1, dtype=torch.int64), torch.tensor(1))
    assert isinstance(old, torch.Tensor)


def test_packet_takes_a_number_for_the_number_overload():
    target = torch.zeros(1, dtype=torch.int64)
    assert atomics.fetch_add(target, 2) == 0
    assert target.item() == 2


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), 2**53 + 1])
def test_int64_keeps_every_bit(value):
    target = torch.zeros(1, dtype=torch.int64)
    atomics.store_.int(target, value)
    assert atomics.load.int(target) == value


def test_float_keeps_double_precision():
    target = torch.zeros(1, dtype=torch.float64)
    atomics.store_.float(target, 0.1)
    assert atomics.load.float(target) == 0.1
