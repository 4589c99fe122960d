"""Shapes of graphs in which torch's own code views the cell, for ops on tensors.

Only those: a compiler does not know that a handle means a tensor that it sees, and does what it
likes with the order of ops on the one and code on the other.
"""

from __future__ import annotations

import torch
from graph_cells import Plain
from graphs import shape
from graphs_control import WEIGHT

from caffe2op_atomics import ops

# Views.


@shape(Plain)
def slice_read_before_and_after(cell, x):
    y = cell.tensor[1:] * 2
    ops.add_(cell.tensor[1:], 2)
    return y, cell.tensor[1:] + 1


@shape(Plain)
def element(cell, x):
    y = cell.tensor * 3
    old = ops.fetch_add(cell.tensor[2], 1)
    return y + cell.tensor, old


@shape(Plain)
def steps(cell, x):
    ops.add_(cell.tensor[::2], 1)
    ops.add_(cell.tensor[1::2], 5)
    return cell.tensor + x


@shape(Plain)
def reshaped(cell, x):
    square = cell.tensor.view(2, 2)
    y = square * 3
    ops.add_(square.t(), torch.arange(2))
    ops.add_(square.diagonal(), 1)
    return y + square


@shape(Plain)
def every_kind_of_view(cell, x):
    t = cell.tensor
    views = [
        t.reshape(2, 2)[:, 1],
        t.unsqueeze(0).squeeze(),
        t.narrow(0, 1, 2),
        t.as_strided((2,), (2,), 2),
        t.detach(),
        t.unflatten(0, (2, 2)).permute(1, 0).flatten(0),
        t.unbind()[1],
        t.split(3)[1],
        t.chunk(2)[0],
        t.expand(1, 4),
        t.data,
    ]
    for n, view in enumerate(views):
        ops.add_(view, n)
    return t + x


@shape(Plain)
def view_of_another_dtype(cell, x):
    words = cell.tensor.view(torch.int32)
    before = words + 1
    ops.add_(words, 1)
    return before, cell.tensor + x


@shape(Plain)
def overlapping_views(cell, x):
    ops.add_(cell.tensor[:3], 1)
    ops.add_(cell.tensor[1:], 10)
    return cell.tensor[:3] + cell.tensor[1:]


@shape(Plain)
def base_then_view(cell, x):
    y = cell.tensor * 2
    cell.add(1)
    ops.add_(cell.tensor[2:], 10)
    return y + cell.tensor


@shape(Plain)
def view_then_base(cell, x):
    view = cell.tensor[2:]
    y = view * 2
    ops.add_(view, 10)
    cell.add(1)
    return y + view, cell.tensor + 0


@shape(Plain)
def views_are_returned(cell, x):
    view = cell.tensor[1:]
    ops.add_(view, 1)
    return view, cell.tensor, cell.tensor.view(2, 2)


@shape(Plain)
def loop_over_views(cell, x):
    return [(row * 2, ops.fetch_add(row, n), row + 1) for n, row in enumerate(cell.tensor)]


@shape(Plain)
def dynamic_index(cell, x):
    n = int(x[1])
    y = cell.tensor[:n] * 2
    ops.add_(cell.tensor[n], 1)
    ops.add_(cell.tensor[n:], 1)
    return y, cell.tensor + x


@shape(Plain)
def copy_of_a_view(cell, x):
    """What is changed is the copy."""
    copy = cell.tensor.view(2, 2).t().contiguous()
    ops.add_(copy, 1)
    cell.add(2)
    return copy, cell.tensor.clone()


# Aliases.


@shape(Plain)
def inputs_share_memory(cell, x):
    """The cell and a view of it that was made outside."""
    y = cell.tensor * 3
    ops.add_(cell.alias, 1)
    cell.add(2)
    return y + cell.tensor, cell.alias + 1


@shape(Plain)
def same_tensor_twice(cell, x):
    def both(a, b):
        y = a * 3
        ops.add_(b, 1)
        ops.add_(a, 2)
        return y + b

    return both(cell.tensor, cell.tensor)


@shape(Plain)
def value_is_the_cell(cell, x):
    ops.add_(cell.tensor, cell.tensor.clone())
    ops.add_(cell.tensor, cell.tensor * 2)


@shape(Plain)
def value_is_a_neighbour(cell, x):
    cell.add(cell.second.tensor)
    cell.second.add(cell.tensor)


class Buffered(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(4))

    def forward(self, x):
        y = self.seen * 3
        ops.add_(self.seen, 1)
        return (y + self.seen) * WEIGHT * x


BUFFERED = Buffered()


@shape(Plain)
def module_buffer(cell, x):
    BUFFERED.seen = cell.tensor
    return BUFFERED(x)


SHARED = {}


@shape(Plain)
def global_tensor(cell, x):
    SHARED["cell"] = cell.tensor
    y = SHARED["cell"] * 3
    ops.add_(SHARED["cell"], 1)
    return y + SHARED["cell"]
