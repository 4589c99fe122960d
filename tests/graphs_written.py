"""Shapes of graphs in which torch's own code writes the cell, for ops on tensors.

Only those: a compiler does not know that a handle means a tensor that it sees, and does what it
likes with the order of ops on the one and code on the other.
"""

from __future__ import annotations

import torch
from graph_cells import Plain
from graphs import shape
from graphs_control import WEIGHT

from caffe2op_atomics import ops

atomics = torch.ops.atomics
ONE = torch.ones((), dtype=torch.int64)


# Written before, between and after.


@shape(Plain)
def added_before(cell, x):
    cell.tensor.add_(1)
    cell.add(2)
    return cell.tensor + x


@shape(Plain)
def copied_before(cell, x):
    cell.tensor.copy_(x)
    cell.add(2)


@shape(Plain)
def zeroed_before(cell, x):
    cell.tensor.zero_()
    cell.add(2)
    return x + 1


@shape(Plain)
def item_set_before(cell, x):
    cell.tensor[0] = 7
    cell.add(2)


@shape(Plain)
def item_set_from_data_before(cell, x):
    cell.tensor[x[0] % 4] = x[3]
    cell.add(2)


@shape(Plain)
def rows_put_before(cell, x):
    cell.tensor.index_put_((x % 4,), x, accumulate=True)
    cell.tensor.scatter_(0, x % 4, x)
    cell.add(2)


@shape(Plain)
def written_by_out_before(cell, x):
    torch.add(x, 1, out=cell.tensor)
    cell.add(2)


@shape(Plain)
def written_by_foreach_before(cell, x):
    torch._foreach_add_([cell.tensor, x], 1)
    cell.add(2)


@shape(Plain)
def written_through_a_view(cell, x):
    view = cell.tensor[1:]
    view.mul_(2)
    cell.add(2)
    view.add_(1)
    return view + 1


@shape(Plain)
def written_between(cell, x):
    cell.add(2)
    cell.tensor.mul_(2)
    cell.add(1)
    return cell.tensor * x


@shape(Plain)
def written_after(cell, x):
    cell.add(2)
    cell.tensor.mul_(2)


@shape(Plain)
def written_in_a_loop(cell, x):
    for n in range(3):
        cell.tensor.add_(n)
        x = x + cell.fetch(1)
    return x


@shape(Plain)
def read_and_written_before(cell, x):
    y = cell.tensor * 3
    cell.tensor.add_(y)
    cell.add(2)
    return y + cell.tensor


# Other ops, and other ways to call them.


@shape(Plain)
def called_by_name(cell, x):
    y = cell.tensor * 3
    atomics.fetch_add(cell.tensor, ONE)
    atomics.add_.default(cell.tensor, ONE)
    old = atomics.fetch_add.int(cell.tensor[:1], 2)
    return y + cell.tensor, old


@shape(Plain)
def indexed(cell, x):
    y = cell.tensor * 3
    ops.index_add_(cell.tensor, 0, x % 3, x)
    old = ops.index_fetch_add(cell.tensor, 0, x % 2, 1)
    return y + cell.tensor, old


@shape(Plain)
def conditional(cell, x):
    y = cell.tensor * 3
    taken = ops.fetch_add_below(cell.tensor, 1, limit=5)
    swapped = ops.compare_exchange(cell.tensor, x + 2, x)
    return y + cell.tensor, taken, swapped


@shape(Plain)
def several_ops(cell, x):
    y = cell.tensor * 3
    ops.max_(cell.tensor, x)
    ops.xor_(cell.tensor, 1)
    old = ops.exchange(cell.tensor, y)
    cell.store(ops.load(cell.tensor) + 1)
    return y + cell.tensor, old


BANK = atomics.create_mutex(2)


@shape(Plain)
def guarded(cell, x):
    y = cell.tensor * 3
    ops.guarded_add_(BANK, cell.tensor, x)
    ops.guarded_index_add_(BANK, cell.tensor, 0, x % 4, 1)
    loaded = ops.guarded_load(BANK, cell.tensor)
    return y + cell.tensor, loaded


MUTEX = atomics.create_mutex()


@shape(Plain)
def mutex_round_a_plain_add(cell, x):
    """Of which a graph would move the add behind the unlock."""
    atomics.mutex_lock(MUTEX)
    cell.tensor.add_(5)
    atomics.mutex_unlock(MUTEX)
    return cell.tensor.sum()


# Gradients.


@shape(Plain)
def saved_for_backward(cell, x):
    y = WEIGHT * (cell.tensor * 1.0)
    cell.add(1)
    return (y * y * cell.tensor).sum()


class CountedBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weight, target):
        ctx.target = target
        return weight * 2

    @staticmethod
    def backward(ctx, gradient):
        read = ctx.target * 3
        ops.add_(ctx.target, 1)
        return gradient * (read + ctx.target), None


@shape(Plain)
def counted_in_backward(cell, x):
    return CountedBackward.apply(WEIGHT * x, cell.tensor).sum()


@shape(Plain)
def weight_is_the_cell(cell, x):
    weight = cell.tensor.view(torch.float64).detach().requires_grad_()
    y = weight * x
    ops.add_(weight, 1)
    y.sum().backward()
    return weight.grad, weight.detach()
