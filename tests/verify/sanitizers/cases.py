"""Calls of each op that are large or many, all of a list on one target."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from op_table import CAFFE2, DENSE, FUSED, GUARDED, INDEXED, NUMBER, WAIT, Op, moment_dtype
from torch import Tensor

_ops = torch.ops.atomics

LENGTH = 60_000


class Case(NamedTuple):
    op: Op
    calls: int
    args: tuple[Any, ...]


def ones(shape: torch.Size | tuple[int, ...], dtype: torch.dtype) -> Tensor:
    return torch.ones(shape, dtype=dtype)


def operands(op: Op, target: Tensor, like: Tensor) -> tuple[Tensor, ...]:
    tensors = [each.name for each in op.overload._schema.arguments if str(each.type) == "Tensor"]
    return tuple(ones(like.shape, target.dtype) for name in tensors if name not in _OTHERS)


_OTHERS = ("target", "index")


def dense_targets(dtype: torch.dtype) -> list[Tensor]:
    """Neighbours; with gaps; in another order."""
    tall = ones((600, LENGTH // 600), dtype)
    return [ones((LENGTH,), dtype), ones((LENGTH, 2), dtype)[:, 0], tall.t()]


def dense(target: Tensor) -> list[Case]:
    """With operands of each element and with one for all; on one element."""
    ops = [op for op in DENSE if target.dtype in op.dtypes]
    likes = target, target.new_empty(())
    cases = [Case(op, 2, (target, *operands(op, target, like))) for like in likes for op in ops]
    cell = target.as_strided((1,), (1,))
    numbers = [op for op in NUMBER + WAIT if target.dtype in op.dtypes]
    return cases + [Case(op, 500, (cell, *op.arguments(target.dtype)[1:])) for op in numbers]


def tables(dtype: torch.dtype) -> list[Tensor]:
    """Rows of one element, short ones, few long ones."""
    return [ones(shape, dtype) for shape in [(LENGTH,), (LENGTH // 50, 50), (30, LENGTH // 30)]]


def indexed(table: Tensor) -> list[Case]:
    index = torch.randint(len(table), (len(table),))
    ops = [op for op in INDEXED if table.dtype in op.dtypes]
    store = next(op for op in DENSE if op.name == "store_")
    return [
        *(Case(op, 2, (table, 0, index, *operands(op, table, table))) for op in ops),
        Case(store, 2, (table, ones((), table.dtype))),
    ]


def guarded(target: Tensor, bank: Tensor) -> list[Case]:
    index = torch.randint(len(target), (len(target),))
    like = ones(target.shape, target.dtype)
    arguments: dict[str, tuple[Any, ...]] = {
        "guarded_load": (bank, target),
        "guarded_store_": (bank, target, like),
        "guarded_exchange": (bank, target, like),
        "guarded_add_": (bank, target, like),
        "guarded_rebase_": (bank, target, like, like),
        "guarded_index_add_": (bank, target, 0, index, like),
        "guarded_copy_": ([bank], [target], [0], [target], [like]),
    }
    ops = [op for op in GUARDED if op not in FUSED and target.dtype in op.dtypes]
    return [Case(op, 2, arguments[op.name]) for op in ops]


def fused(dtype: torch.dtype, bank: Tensor) -> list[Case]:
    """All on the same parameters, with moments of their own."""
    params = [ones((60, LENGTH // 120), dtype) for _ in range(2)]
    grads = [ones(each.shape, dtype) for each in params]
    rows = torch.randint(60, (60,))
    cases = []
    for op in FUSED:
        names = [each.name for each in op.overload._schema.arguments]
        moments = [[ones(each.shape, moment_dtype(dtype)) for each in params] for _ in range(3)]
        steps = torch.zeros(2, dtype=torch.int64)
        args: tuple[Any, ...] = (bank, params, grads, *moments[: names.index("steps") - 3])
        args = (*args, steps, [0, 5])
        if "index" in names:
            args = (bank, params[0], 0, rows, grads[0], moments[0][0], steps[:1])
        cases.append(Case(op, 2, args))
    load = next(op for op in GUARDED if op.name == "guarded_load")
    return [*cases, Case(load, 2, (bank, params[0]))]


def caffe2() -> list[Case]:
    return [Case(op, 500, op.arguments(op.dtypes[0])) for op in CAFFE2]
