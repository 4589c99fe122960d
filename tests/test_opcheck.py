"""torch.library.opcheck, and that every op is neutral to autograd."""

from __future__ import annotations

import pytest
import torch
from op_table import ALL, CAFFE2, DENSE, INDEXED, WITH_MUTEX, Op
from torch.testing._internal.optests import generate_tests as optests


def opcheck_cases() -> list:
    return [
        pytest.param(op, dtype, id=f"{op.name}-{dtype}")
        for op in ALL
        if op.name not in WITH_MUTEX
        for dtype in op.dtypes
    ]


def checks_of(op: Op) -> dict:
    checks = ["test_schema", "test_autograd_registration"]
    if not op.returns_numbers:
        checks.append("test_faketensor")
        if not op.name.startswith("create_mutex"):  # two new mutexes have two ids
            checks += ["test_aot_dispatch_static", "test_aot_dispatch_dynamic"]
    return {"test_utils": checks}


@pytest.mark.parametrize(("op", "dtype"), opcheck_cases())
def test_opcheck(op, dtype):
    torch.library.opcheck(op.overload, op.arguments(dtype), **checks_of(op))


@pytest.mark.parametrize("op", [op for op in ALL if op.name in WITH_MUTEX], ids=lambda op: op.name)
def test_opcheck_without_copies_of_the_mutex(op):
    """opcheck itself clones its inputs, and a cloned mutex is refused."""
    optests.safe_schema_check(op.overload, op.arguments(op.dtypes[0]), {}, copy_inputs=False)
    if not op.returns_numbers and op in CAFFE2:
        optests.safe_fake_check(op.overload, op.arguments(op.dtypes[0]), {}, copy_inputs=False)


FLOATING = [(op, dtype) for op in DENSE + INDEXED for dtype in (torch.float32, torch.float64)]


def with_gradients(op: Op, dtype: torch.dtype) -> list:
    return [
        arg.requires_grad_() if isinstance(arg, torch.Tensor) and arg.is_floating_point() else arg
        for arg in op.arguments(dtype)
    ]


@pytest.mark.parametrize(("op", "dtype"), FLOATING)
def test_opcheck_on_parameters(op, dtype):
    torch.library.opcheck(op.overload, with_gradients(op, dtype))


@pytest.mark.parametrize(("op", "dtype"), FLOATING)
def test_results_do_not_require_gradients(op, dtype):
    results = op.overload(*with_gradients(op, dtype))
    results = results if isinstance(results, tuple) else (results,)
    assert not any(result.requires_grad for result in results if result is not None)


def test_gradients_elsewhere_are_unaffected():
    weight = torch.nn.Parameter(torch.tensor([2.0, 3.0]))
    x = torch.tensor([5.0, 7.0])
    loss = (weight * x).sum()
    torch.ops.atomics.add_(weight, torch.ones(2))
    old = torch.ops.atomics.fetch_add(weight, torch.ones(2))
    loss.backward()
    assert weight.grad.tolist() == [5, 7]
    assert weight.tolist() == [4, 5]
    assert old.tolist() == [3, 4]
    assert weight.requires_grad
