"""float16 and bfloat16: every value, in words and one by one, is what torch makes of it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from caffe2op_atomics import ops

small_floats = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)

# In float32, rounded once: what torch's own kernels do.
MEANING = {
    "add_": torch.add,
    "sub_": torch.sub,
    "min_": torch.minimum,
    "max_": torch.maximum,
}
OTHERS = [1.0, -0.0, 3.0517578125e-05, -1.17549435e-38, 0.099, -65504.0, float("inf"), float("nan")]


def every_value(dtype: torch.dtype) -> Tensor:
    return torch.arange(-(2**15), 2**15).to(torch.int16).view(dtype)


def assert_same(found: Tensor, wanted: Tensor) -> None:
    """The same bits, or both NaN: which NaN is the processor's choice."""
    nan = wanted.isnan()
    assert torch.equal(found.isnan(), nan)
    assert torch.equal(found.view(torch.int16)[~nan], wanted.view(torch.int16)[~nan])


@small_floats
@pytest.mark.parametrize("op", MEANING)
@pytest.mark.parametrize("value", OTHERS)
@pytest.mark.parametrize("step", [1, 2], ids=["in words", "one by one"])
def test_every_value_is_calculated_with_as_torch_does(step, value, op, dtype):
    target = torch.empty(2**16 * step, dtype=dtype)[::step].copy_(every_value(dtype))
    other = torch.full((2**16,), value, dtype=dtype)
    wanted = MEANING[op](target.float(), other.float()).to(dtype)
    if op in ("min_", "max_"):  # of equals the target's own stays
        wanted = torch.where(target == other, target, wanted)
    getattr(ops, op)(target, other)
    assert_same(target, wanted)


@small_floats
@pytest.mark.parametrize("offset", range(9))
def test_runs_of_every_length_and_offset_are_right_to_the_last_cell(offset, dtype):
    for length in range(70):
        memory = torch.arange(96).to(dtype)
        wanted = memory.clone()
        wanted[offset : offset + length] += torch.arange(length).to(dtype) * 0.5
        old = ops.fetch_add(memory[offset : offset + length], torch.arange(length).to(dtype) * 0.5)
        assert torch.equal(memory, wanted)
        assert torch.equal(old, torch.arange(96).to(dtype)[offset : offset + length])
        ops.add_(memory[offset : offset + length], torch.arange(length).to(dtype), alpha=-0.5)
        assert torch.equal(memory, torch.arange(96).to(dtype))
        ops.max_(memory[offset : offset + length], 50)
        wanted = torch.arange(96).to(dtype)
        wanted[offset : offset + length].clamp_(min=50)
        assert torch.equal(memory, wanted)
