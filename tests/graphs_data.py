"""Shapes of graphs: data that is read, written and returned around the use of a cell."""

from __future__ import annotations

from typing import NamedTuple

import torch
from graph_cells import Handle, OfCounter, OfGuarded, OfSeveral, Plain
from graphs import shape
from torch import Tensor

# Ops on tensors break the graph whatever the data: they have few of these shapes.
COUNTED = Handle, OfCounter
ADDED = Handle, OfGuarded, OfSeveral


# Data.


@shape(*COUNTED)
def nothing_but_an_update(cell, x):
    cell.add(2)


@shape(*COUNTED)
def data_is_written_around(cell, x):
    x.add_(1)
    cell.add(1)
    x.mul_(3)
    cell.add(x.shape[0])
    x[1:] += 3
    return x * 3


@shape(*COUNTED)
def data_is_written_from_fetched(cell, x):
    old = cell.fetch(1)
    x.copy_(x + old)
    again = cell.fetch(1)
    x[1:].add_((x + again)[:3])
    return x.clone()


@shape(Plain, *COUNTED)
def inputs_are_returned(cell, x):
    view = x[1:]
    cell.add(2)
    return x, view, x * 3


@shape(*COUNTED)
def same_result_twice(cell, x):
    y = x * 3
    cell.add(2)
    return y, y, y.view(2, 2)


class Pair(NamedTuple):
    before: Tensor
    after: Tensor


@shape(*COUNTED)
def named_tuple(cell, x):
    before = x + cell.read()
    cell.add(2)
    return Pair(before, x + cell.read())


@shape(*COUNTED)
def transposed_data(cell, x):
    square = x.view(2, 2).t()
    cell.add(2)
    return square.reshape(4) * cell.fetch(1)


@shape(*COUNTED)
def sorted_data(cell, x):
    cell.add(1)
    values, order = x.flip(0).sort()
    return values * cell.fetch(1), order


@shape(*COUNTED)
def product_of_matrices(cell, x):
    y = x.float().view(2, 2)
    cell.add(1)
    return (y @ y).flatten() * cell.read()


@shape(*COUNTED)
def reduced_data(cell, x):
    total = x.sum()
    old = cell.fetch(1)
    return total * old, x.max() - x


@shape(*COUNTED)
def masked_data(cell, x):
    cell.add(1)
    x.masked_fill_(x > 1, 9)
    return torch.where(x == 9, cell.fetch(1), x)


@shape(*COUNTED)
def copy_of_data(cell, x):
    kept = x.clone()
    x.zero_()
    cell.add(2)
    return kept + x + cell.read()


@shape(*COUNTED)
def empty_data(cell, x):
    cell.add(2)
    return x[:0] * 3


@shape(*COUNTED)
def short_data(cell, x):
    y = x.to(torch.int8)
    cell.add(2)
    return y + 1, x.bool()


# Values that come from it.


@shape(*ADDED)
def value_is_computed(cell, x):
    cell.add(x.sum())
    cell.add(x * 2)


@shape(Plain, *ADDED)
def value_is_input(cell, x):
    cell.add(x)
    x.add_(1)
    cell.add(x)


@shape(*ADDED)
def value_is_view(cell, x):
    cell.add(x[2])
    cell.add(x.flip(0))
    cell.add(x[:1].expand(4))
    return x.view(2, 2) + 1


@shape(*ADDED)
def value_is_stepped(cell, x):
    cell.add(x.repeat(2)[::2])


@shape(Plain, *ADDED)
def value_is_written_later(cell, x):
    """It is what it was when the cell was changed."""
    y = x * 3
    cell.add(y)
    y.zero_()
    return y + x


@shape(*ADDED)
def value_is_cast(cell, x):
    cell.add((x.float() * 2.5).long())
    cell.add((x > 1).long())


@shape(OfCounter, breaks=(OfCounter,))
def value_is_item(cell, x):
    cell.add(int(x.sum()))


@shape(*COUNTED)
def value_is_size(cell, x):
    cell.add(x.numel())
    cell.add(len(x))
    return x.numel()


@shape(*COUNTED)
def value_is_read(cell, x):
    """Others may come between; alone, it is exact."""
    cell.add(cell.read() + cell.fetch(1))
    return x


@shape(*COUNTED, breaks=(OfCounter,))
def row_of_ticket(cell, x):
    row = cell.fetch(-1) % 4
    return x[row]


@shape(Plain, Handle)
def row_of_ticket_is_written(cell, x):
    x[cell.fetch(1) % 4] = 7
    return x + 0
