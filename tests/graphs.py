"""Shapes of graphs: what surrounds the use of a cell that others may change at any moment.

Each is a function of a cell and of data, an int64 of four elements, written once for ops on
tensors, ops on handles and methods of classes. Those in which torch's own code writes or views the
cell are in graphs_written.py and graphs_views.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from graph_cells import Cell, Handle, OfCounter, OfFlag, Plain
from torch import Tensor

Shape = Callable[[Any, Tensor], Any]


@dataclass(frozen=True)
class Case:
    shape: Shape
    kind: type[Cell]
    whole: bool  # it has to be one graph

    def __str__(self) -> str:
        return f"{self.shape.__name__}-{self.kind.__name__}"


CASES: list[Case] = []


def shape(*kinds: type[Cell], breaks: tuple[type[Cell], ...] = ()) -> Callable[[Shape], Shape]:
    """Enter a shape for these kinds of cells; with those in ``breaks`` it is not one graph."""

    def enter(function: Shape) -> Shape:
        CASES.extend(Case(function, kind, kind.whole and kind not in breaks) for kind in kinds)
        return function

    return enter


# With add, fetch and read; with store and read.
COUNTS = Plain, Handle, OfCounter
STORES = Plain, Handle, OfFlag

WEIGHTS = torch.ones(4)


# Reads.


@shape(*COUNTS)
def read_after(cell, x):
    cell.add(2)
    return cell.read() + x


@shape(*COUNTS)
def read_before(cell, x):
    y = cell.read() + x
    cell.add(2)
    return y


@shape(*COUNTS)
def read_before_used_after(cell, x):
    y = cell.read() * 3
    cell.add(2)
    return y + x


@shape(*COUNTS)
def read_before_and_after(cell, x):
    y = cell.read() * 3
    cell.add(2)
    return y + cell.read() + x


@shape(*COUNTS)
def sums_before_and_after(cell, x):
    before = (cell.read() + x).sum()
    cell.add(2)
    return before, (cell.read() + x).sum()


@shape(*COUNTS)
def float_of_read_before(cell, x):
    y = cell.read() * 2.0
    cell.add(2)
    return (y * WEIGHTS).sum()


@shape(*COUNTS)
def reads_between(cell, x):
    a = cell.read() * x
    cell.add(1)
    b = cell.read() * x
    cell.add(2)
    return a, b, cell.read() * x


@shape(*COUNTS)
def read_unused(cell, x):
    cell.read()
    cell.add(2)
    return x + 1


@shape(*COUNTS)
def two_reads_that_differ(cell, x):
    """Which must not become one."""
    y = cell.read() + x
    cell.add(2)
    return y - cell.read() - x


@shape(*COUNTS)
def compared(cell, x):
    before = cell.read() > x
    cell.add(2)
    return torch.where(before, cell.read(), x)


# What an update returns.


@shape(*COUNTS)
def fetched(cell, x):
    return cell.fetch(2)


@shape(*COUNTS)
def fetched_unused(cell, x):
    cell.fetch(2)
    return x + 1


@shape(*COUNTS)
def fetched_and_data(cell, x):
    y = x * 3
    return y + cell.fetch(2) + x


@shape(*COUNTS)
def fetched_twice(cell, x):
    """Which must not become one."""
    return cell.fetch(1) * x, cell.fetch(1) * x


@shape(*COUNTS)
def fetched_between_reads(cell, x):
    before = cell.read() * x
    old = cell.fetch(2)
    return before - old, cell.read() * x


@shape(*COUNTS)
def fetched_in_order(cell, x):
    first, second, third = cell.fetch(1), cell.fetch(10), cell.fetch(0)
    return third - second, second - first, x + 1


@shape(*COUNTS)
def fetched_is_returned_with_data(cell, x):
    return {"old": cell.fetch(2), "data": (x, [x + 1])}


@shape(*COUNTS)
def fetched_is_added(cell, x):
    cell.add(cell.fetch(1))
    return cell.read() + x


# Two cells.


@shape(*COUNTS)
def two_cells(cell, x):
    a, b = cell.read() * 3, cell.second.read() * 3
    cell.add(1)
    cell.second.add(2)
    return a + cell.read() + x, b + cell.second.read() + x


@shape(*COUNTS)
def crossed(cell, x):
    a = cell.second.fetch(1)
    b = cell.fetch(1)
    return a - b + x, cell.read() + cell.second.read() + x


@shape(*COUNTS)
def moved_to_the_second(cell, x):
    cell.second.add(cell.fetch(-3))
    return cell.read() + x, cell.second.read() + x


# Stores.


@shape(*STORES)
def stored(cell, x):
    y = x * 3
    cell.store(1)
    return y + x


@shape(*STORES)
def stored_twice(cell, x):
    """The first is not dead: somebody else may see it."""
    cell.store(1)
    cell.store(0)
    return x + 1


@shape(*STORES)
def stored_and_read(cell, x):
    before = cell.read()
    cell.store(1)
    between = cell.read()
    cell.store(0)
    return before, between, cell.read(), x + 1


@shape(Plain, Handle)
def stored_and_added(cell, x):
    y = cell.read() * 3
    cell.store(5)
    cell.add(1)
    cell.store(cell.fetch(2) * x)
    return y + cell.read()


@shape(Plain, Handle)
def stored_from_the_second(cell, x):
    cell.store(cell.second.read() + 1)
    cell.second.store(cell.read() + 1)
    return x + cell.read()
