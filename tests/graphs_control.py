"""Shapes of graphs: loops, calls, branches, modules and gradients around the use of a cell."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import torch
from graph_cells import Handle, OfCounter
from graphs import COUNTS, WEIGHTS, shape

# Ops on tensors break the graph whatever is around them: they have few of these shapes.
COUNTED = Handle, OfCounter


# Loops.


@shape(*COUNTS)
def loop(cell, x):
    for n in range(1, 4):
        cell.add(n)
        x = x + cell.read()
    return x


@shape(*COUNTED)
def loop_over_rows(cell, x):
    return [row + cell.fetch(1) for row in (x, x)]


@shape(*COUNTED)
def loop_with_carried_read(cell, x):
    total = x
    for _ in range(3):
        before = cell.read() * 2
        cell.add(1)
        total = total + before + cell.read()
    return total


@shape(*COUNTED)
def while_loop(cell, x):
    left = 4
    while left:
        cell.add(left)
        left -= 1
        if left == 1:
            break
    return x * (left + 2)


@shape(*COUNTED)
def zipped(cell, x):
    return {n: row + cell.fetch(n) for n, row in zip((1, 2), (x, x * 2), strict=True)}


# Calls.


def _helper(cell, x, *, n=1):
    cell.add(n)
    return x * 3


@shape(*COUNTED)
def partial_calls(cell, x):
    add = functools.partial(_helper, n=3)
    return sum(map(functools.partial(add, cell), [x, x + 1]))


@shape(*COUNTED)
def closure(cell, x):
    y = x * 3

    def update(n):
        cell.add(n)
        return y + cell.read()

    return update(1), update(2)


def _recursive(cell, x, depth):
    cell.add(depth)
    return x if depth == 0 else _recursive(cell, x + 1, depth - 1)


@shape(*COUNTED)
def recursion(cell, x):
    return _recursive(cell, x, 3)


@shape(*COUNTED)
def bound_method(cell, x):
    add = cell.add
    add(1)
    add(2)
    return x + cell.read()


@shape(*COUNTS)
def cells_in_containers(cell, x):
    first, again = {"cells": [cell, cell]}["cells"]
    y = first.read() * 3
    again.add(1)
    first.add(2)
    return y + again.read() + x


@contextlib.contextmanager
def _counted(cell: Any) -> Iterator[None]:
    cell.add(1)
    try:
        yield
    finally:
        cell.add(10)


@shape(*COUNTS)
def context_manager(cell, x):
    with _counted(cell):
        y = x + cell.read()
    return y - cell.read()


@shape(*COUNTED)
def exception(cell, x):
    try:
        cell.add(1)
        raise ValueError
    except ValueError:
        cell.add(2)
    return x + cell.read()


# Branches.


@shape(*COUNTED)
def branch_on_shape(cell, x):
    if x.dim() == 1 and x.shape[0] > 2:
        cell.add(1)
        return x + cell.read()
    cell.add(100)
    return x


@shape(*COUNTS, breaks=COUNTS)
def branch_on_value(cell, x):
    y = x * 3
    if torch.as_tensor(cell.fetch(1)).sum() >= 20:
        cell.add(10)
    return y + cell.read()


@shape(*COUNTS, breaks=COUNTS)
def loop_until_value(cell, x):
    while torch.as_tensor(cell.fetch(3)).sum() < 20:
        x = x * 3
    return x


@shape(*COUNTS, breaks=COUNTS)
def graph_break_between(cell, x):
    y = x * 3 + cell.fetch(1)
    torch._dynamo.graph_break()
    cell.add(2)
    return y + cell.read()


@shape(*COUNTED, breaks=COUNTED)
def disabled_function_between(cell, x):
    y = x * 3 + cell.read()
    torch.compiler.disable(_helper)(cell, x, n=2)
    return y + cell.fetch(1)


# Gradients elsewhere.

WEIGHT = torch.nn.Parameter(torch.ones(4))


@shape(*COUNTED)
def no_grad(cell, x):
    with torch.no_grad():
        y = WEIGHTS * cell.fetch(1)
        cell.add(2)
    return y + x


@shape(*COUNTED)
def gradient_beside(cell, x):
    y = WEIGHT * x
    cell.add(1)
    return (y * y).sum()


@shape(*COUNTED)
def read_saved_for_backward(cell, x):
    y = WEIGHT * (cell.read() * 1.0)
    cell.add(1)
    return (y * y * cell.read()).sum()


@shape(*COUNTED)
def fetched_saved_for_backward(cell, x):
    y = WEIGHT * cell.fetch(1)
    return (y * y).sum() + cell.fetch(1) * x.sum()


@shape(*COUNTED)
def detached(cell, x):
    y = WEIGHT * x
    cell.add(1)
    return y.detach() + cell.read(), y


class Counted(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = WEIGHT
        self.cell: Any = None

    def forward(self, x):
        self.cell.add(1)
        return self.weight * x


MODULE = torch.nn.Sequential(Counted(), Counted())


@shape(*COUNTED)
def modules(cell, x):
    for module in MODULE:
        module.cell = cell
    return MODULE(x)
