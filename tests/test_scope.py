"""scope= of the lock-free ops; what it does to kernels is in test_cuda_on_cpu.py."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from op_table import DENSE, INDEXED, Op, row
from support import assert_refused, nothing_changes
from torch.utils._pytree import tree_leaves

from caffe2op_atomics import _library, ops
from caffe2op_atomics.ops import _overloads

WITH_SCOPE = DENSE + INDEXED


def test_ops_with_kernels_for_gpus_take_a_scope_and_no_others():
    taking = {
        name for name in ops.__all__ if "scope" in inspect.signature(getattr(ops, name)).parameters
    }
    assert taking == {op.name for op in WITH_SCOPE}


def arguments_of(op: Op, dtype: torch.dtype) -> tuple[Any, ...]:
    """Without an index that is named twice, whose order is nobody's promise."""
    if op not in INDEXED:
        return op.arguments(dtype)
    target, dim, *rows = op.arguments(dtype)
    return target, dim, *(each[:2] for each in rows)


@pytest.mark.parametrize("op", WITH_SCOPE, ids=lambda op: op.name)
def test_scopes_do_the_same(op, device):
    for dtype in op.dtypes:
        arguments, others = arguments_of(op, dtype), arguments_of(op, dtype)
        function = getattr(ops, op.name)
        ours = function(*arguments, scope="system"), arguments
        theirs = function(*others, scope="device"), others
        for a, b in zip(tree_leaves(ours), tree_leaves(theirs), strict=True):
            assert a.equal(b) if isinstance(a, torch.Tensor) else a == b


@pytest.mark.parametrize("op", WITH_SCOPE, ids=lambda op: op.name)
@pytest.mark.parametrize("scope", ["gpu", "System", None, 1])
def test_other_scopes_are_refused(op, scope):
    arguments = op.arguments(torch.int32)
    message = rf"^{op.name}: scope must be 'system' or 'device', got {scope!r}$"
    with nothing_changes(arguments), pytest.raises(ValueError, match=message):
        getattr(ops, op.name)(*arguments, scope=scope)


def test_no_seed_is_drawn_for_a_scope_that_is_refused():
    generator = torch.Generator()
    before = generator.get_state()
    with pytest.raises(ValueError, match=r"^add_: scope must be"):
        ops.add_(row(torch.float16), 1, stochastic_rounding=True, generator=generator, scope="gpu")
    assert generator.get_state().equal(before)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the kernels for GPUs are told."""
    calls: list[int] = []
    library = SimpleNamespace(atomics_set_device_scope=calls.append)
    monkeypatch.setattr(_library, "cuda_library", library)
    for_one_device = _overloads._for_one_device(torch.ops.atomics.add_.default)
    monkeypatch.setattr(_overloads.in_scope["device"], "add_", for_one_device)
    return calls


def test_thread_is_in_device_scope_for_one_call(told):
    ops.add_(row(torch.int32), 1)
    assert told == []
    ops.add_(row(torch.int32), 1, scope="device")
    assert told == [1, 0]
    keywords = {"scope": "device"}
    message = "add_: other must broadcast to target's shape [3], got [2]"
    assert_refused(
        ops.add_, (row(torch.int32), torch.ones(2, dtype=torch.int32)), message, **keywords
    )
    assert told == [1, 0, 1, 0]


@pytest.mark.usefixtures("fresh_compiler")
def test_compiled_function_calls_in_either_scope(told):
    @torch.compile(backend="aot_eager")
    def step(target: torch.Tensor) -> torch.Tensor:
        ops.add_(target, target + 1, scope="device")
        ops.add_(target, target + 1)
        return target * 2

    assert step(torch.ones(2)).tolist() == [14, 14]
    assert told == [1, 0]
