"""Targets that are more or other than a plain tensor, and are updated where their memory is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from op_table import ALL, DENSE, HANDLES, INDEXED, REGISTRY, WITH_MUTEX, Op
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.utils._pytree import tree_leaves, tree_map_only

atomics = torch.ops.atomics


class Named(Tensor):
    """Runs all of torch's functions through ``__torch_function__``."""


class Wrapper(Tensor):
    """Has no memory but that of the tensor inside."""

    def __new__(cls, inner: Tensor) -> Wrapper:
        return Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), dtype=inner.dtype
        )

    def __init__(self, inner: Tensor) -> None:
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        args, kwargs = tree_map_only(cls, lambda each: each.inner, (args, kwargs or {}))
        return func(*args, **kwargs)


DISGUISES = {
    "Parameter": lambda tensor: nn.Parameter(tensor, requires_grad=tensor.is_floating_point()),
    "subclass": lambda tensor: tensor.as_subclass(Named),
    "wrapper": Wrapper,
}


def is_written(argument: Any) -> bool:
    # A copy of a mutex is none.
    is_state = argument.name in ("mutex", "memory", "token")
    return argument.alias_info is not None and argument.alias_info.is_write and not is_state


def disguised(op: Op, args: tuple[Any, ...], disguise: Any) -> tuple[Any, ...]:
    """Arguments in which ``disguise`` was put on every tensor that is written."""
    return tuple(
        tree_map_only(Tensor, disguise, arg) if is_written(argument) else arg
        for argument, arg in zip(op.overload._schema.arguments, args, strict=False)
    )


# Handles are different numbers each time.
WRITING = [
    op
    for op in ALL
    if any(map(is_written, op.overload._schema.arguments)) and op not in HANDLES + REGISTRY
]

each_op = pytest.mark.parametrize("op", WRITING, ids=lambda op: op.name)


def tensors(op: Op, args: tuple[Any, ...]) -> list[Tensor]:
    """All but the mutex, two of which have two ids."""
    leaves = tree_leaves(args[1:] if op.name in WITH_MUTEX else args)
    return [leaf for leaf in leaves if isinstance(leaf, Tensor)]


def assert_same(one: Any, other: Any) -> None:
    for a, b in zip(tree_leaves(one), tree_leaves(other), strict=True):
        if isinstance(a, Tensor):
            assert a.dtype == b.dtype
            assert torch.equal(a, b)
        else:
            assert a == b


@pytest.mark.parametrize("kind", DISGUISES)
@each_op
def test_subclass_is_updated_in_the_memory_of_the_tensor(op, kind):
    for dtype in op.dtypes:
        args, plain = op.arguments(dtype), op.arguments(dtype)
        results = op.overload(*disguised(op, args, DISGUISES[kind]), **op.keywords)
        assert_same(results, op.overload(*plain, **op.keywords))
        assert_same(tensors(op, args), tensors(op, plain))


@pytest.mark.parametrize("kind", DISGUISES)
def test_handle_of_a_subclass_names_the_memory_of_the_tensor(kind):
    target = torch.zeros(3)
    atomics.handle_add_(atomics.handle(DISGUISES[kind](target)), torch.ones(3))
    assert target.tolist() == [1, 1, 1]


@pytest.mark.parametrize("inside", [False, True])
@each_op
def test_inference_tensor_is_updated_inside_and_outside_of_inference_mode(op, inside):
    """Torch's own ops raise outside of it: they have a version to count."""
    for dtype in op.dtypes:
        with torch.inference_mode():
            args = disguised(op, op.arguments(dtype), torch.clone)
        plain = op.arguments(dtype)
        with torch.inference_mode(inside):
            results = op.overload(*args, **op.keywords)
        assert_same(results, op.overload(*plain, **op.keywords))
        assert_same(tensors(op, args), tensors(op, plain))


# A flag is shared memory, of which torch makes no such copies.
COPIED = [op for op in WRITING if "atomic_bool" not in op.name]


@pytest.mark.parametrize("op", COPIED, ids=lambda op: op.name)
def test_copy_on_write_target_is_updated_alone(op):
    for dtype in op.dtypes:
        originals, plain = op.arguments(dtype), op.arguments(dtype)
        lazy = disguised(op, originals, torch._lazy_clone)
        results = op.overload(*lazy, **op.keywords)
        assert_same(tensors(op, originals), tensors(op, op.arguments(dtype)))
        assert_same(results, op.overload(*plain, **op.keywords))
        assert_same(tensors(op, lazy), tensors(op, plain))


DERIVED = [op for op in DENSE + INDEXED if torch.float32 in op.dtypes]


def with_derivative(kind: str, call: Callable[[Tensor], Tensor], target: Tensor) -> None:
    if kind == "grad":
        torch.func.grad(call)(target)
    elif kind == "jvp":
        torch.func.jvp(call, (target,), (torch.ones_like(target),))
    else:
        with forward_ad.dual_level():
            call(forward_ad.make_dual(target, torch.ones_like(target)))


@pytest.mark.parametrize("kind", ["grad", "jvp", "dual"])
@pytest.mark.parametrize("op", DERIVED, ids=lambda op: op.name)
def test_target_of_which_a_derivative_is_taken_is_updated_once(op, kind):
    (target, *_), (plain, *others) = (op.arguments(torch.float32) for _ in range(2))

    def update(wrapped: Tensor) -> Tensor:
        op.overload(wrapped, *others)
        return wrapped.sum()

    with_derivative(kind, update, target)
    update(plain)
    assert torch.equal(target, plain)
