"""What ops refuse: arguments to put into a good call, and the texts that name the rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from op_table import Op
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

NEGATIVE = (
    "arguments must not be negative views (resolve_neg() makes a plain tensor), "
    "got one with its negative bit set"
)
CONJUGATE = (
    "arguments must not be conjugate views (resolve_conj() makes a plain tensor), "
    "got one with its conjugate bit set"
)
SHARES = "must not share memory with target, got an overlapping tensor"
OVERLAPS = "target must not overlap itself, got several indices for one memory location"

_OPERANDS = {"other", "expected", "desired", "limit", "source"}


def packet(op: Op) -> str:
    """The name that errors begin with."""
    return op.name.partition(".")[0]


def named(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def listed(op: Op) -> str:
    """The dtypes of an op as errors list them."""
    *most, last = map(named, op.dtypes)
    return f"{', '.join(most)} or {last}" if most else last


def operands(op: Op) -> list[tuple[int, str]]:
    """Position and name of every argument with a value like those of target."""
    arguments = op.overload._schema.arguments
    return [
        (at, argument.name) for at, argument in enumerate(arguments) if argument.name in _OPERANDS
    ]


def each_operand(ops: list[Op]) -> pytest.MarkDecorator:
    cases = [
        pytest.param(op, position, name, id=f"{op.name}-{name}")
        for op in ops
        for position, name in operands(op)
    ]
    return pytest.mark.parametrize(("op", "position", "name"), cases)


def with_argument(args: tuple[Any, ...], position: int, argument: Any) -> tuple[Any, ...]:
    return (*args[:position], argument, *args[position + 1 :])


def each_replaced(
    args: tuple[Any, ...], make: Callable[[Tensor], Tensor]
) -> Iterator[tuple[Any, ...]]:
    """Arguments like ``args`` with ``make`` of one tensor in its place, for each in turn."""
    leaves, structure = tree_flatten(args)
    for at, leaf in enumerate(leaves):
        if isinstance(leaf, Tensor):
            yield tree_unflatten([*leaves[:at], make(leaf), *leaves[at + 1 :]], structure)


def with_operands(op: Op, target: Tensor, operand: Tensor) -> tuple[Tensor, ...]:
    """Arguments of a dense op: ``operand`` in the place of each."""
    return (target, *(operand for _ in operands(op)))


def misaligned(tensor: Tensor) -> Tensor:
    """Zeros like ``tensor`` whose address is one byte past a multiple of their size."""
    memory = bytearray(tensor.nbytes + 1)
    return torch.frombuffer(memory, dtype=tensor.dtype, offset=1).view(tensor.shape)


def not_aligned(dtype: torch.dtype) -> str:
    return f"must be aligned to {dtype.itemsize} bytes, got an address 1 bytes past that"


def without_memory(tensor: Tensor, left: int) -> Tensor:
    """A copy of ``tensor`` whose storage was then resized to ``left`` bytes."""
    copy = tensor.clone()
    copy.untyped_storage().resize_(left)
    return copy


def conjugate() -> Tensor:
    return torch.zeros(3, dtype=torch.complex64).conj()
