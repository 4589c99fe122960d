"""torch.library.opcheck, and that every op is neutral to autograd."""

from __future__ import annotations

import pytest
import torch
from op_table import (
    ALL,
    CAFFE2,
    DENSE,
    DTYPES,
    FLOATS,
    GUARDED,
    HANDLES,
    INDEXED,
    REGISTRY,
    WITH_MUTEX,
    Op,
)
from torch.testing._internal.optests import generate_tests as optests


def each(ops: list[Op], dtypes: tuple[torch.dtype, ...]) -> pytest.MarkDecorator:
    cases = [
        pytest.param(op, dtype, id=f"{op.name}-{dtype}")
        for op in ops
        for dtype in op.dtypes
        if dtype in dtypes
    ]
    return pytest.mark.parametrize(("op", "dtype"), cases)


def checks_of(op: Op, dtype: torch.dtype) -> dict:
    checks = ["test_schema", "test_autograd_registration"]
    if not op.returns_numbers:
        checks.append("test_faketensor")
        # Only ops on handles have a place in a graph, see test_export.py. Tracing takes a third of
        # a second and looks at no dtype but through the fake results. Two additions to what a
        # copied handle names have two results.
        if op in HANDLES and dtype == op.dtypes[-1] and op.name != "handle_fetch_add":
            checks += ["test_aot_dispatch_static", "test_aot_dispatch_dynamic"]
    return {"test_utils": checks}


# What changes the registry of handles cannot be called twice.
@each([op for op in ALL if op.name not in WITH_MUTEX and op not in REGISTRY], DTYPES)
def test_opcheck(op, dtype):
    torch.library.opcheck(op.overload, op.arguments(dtype), **checks_of(op, dtype))


@each([op for op in ALL if op.name in WITH_MUTEX], DTYPES)
def test_opcheck_without_copies_of_the_mutex(op, dtype):
    """opcheck itself clones its inputs, and a cloned mutex is refused."""
    args = op.arguments(dtype)
    optests.safe_schema_check(op.overload, args, op.keywords, copy_inputs=False)
    if not op.returns_numbers and op in CAFFE2 + GUARDED:
        args = op.arguments(dtype)
        optests.safe_fake_check(op.overload, args, op.keywords, copy_inputs=False)


each_floating = each(DENSE + INDEXED, FLOATS)


def with_gradients(op: Op, dtype: torch.dtype) -> list:
    return [
        arg.requires_grad_() if isinstance(arg, torch.Tensor) and arg.is_floating_point() else arg
        for arg in op.arguments(dtype)
    ]


@each_floating
def test_opcheck_on_parameters(op, dtype):
    torch.library.opcheck(op.overload, with_gradients(op, dtype), **checks_of(op, dtype))


@each_floating
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


def test_half_precision_parameters_keep_their_gradients_beside_stochastic_rounding():
    weight = torch.nn.Parameter(torch.tensor([2.0, 3.0], dtype=torch.bfloat16))
    loss = (weight * 4).sum()
    torch.ops.atomics.add_(weight, torch.ones(2, dtype=torch.bfloat16), 1, 5)
    loss.backward()
    assert weight.grad.tolist() == [4, 4]
    assert weight.tolist() == [3, 4]


STOCHASTIC = [(name, dtype) for name in ("add_", "sub_") for dtype in (FLOATS[0], FLOATS[1])]


@pytest.mark.parametrize(("name", "dtype"), STOCHASTIC)
def test_opcheck_with_a_seed(name, dtype):
    """The seed makes the result random to look at, and a function of the arguments."""
    overload = getattr(torch.ops.atomics, name).default
    args = (torch.ones(3, dtype=dtype), torch.ones(3, dtype=dtype), 2.0**-12, 5)
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(overload, args, test_utils=tests)
