"""Every op in a script does what its call does; no pass of torch folds, drops or moves one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from op_table import ALL, HANDLES, REGISTRY, Op
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

# docs/support.md: called once, dropped, or not to be named in a script.
NOT_FOR_SCRIPTS = {"create_mutex", "create_atomic_bool", "guarded_copy_", "load.int", "load.float"}
# Two calls on handles have two numbers for an argument, so that they cannot be compared.
OPS = [op for op in ALL if op not in HANDLES + REGISTRY and op.name not in NOT_FOR_SCRIPTS]
# What one thread can do to a mutex once only.
ONCE = {"mutex_init_", "mutex_lock", "mutex_unlock", "mutex_consistent"}

by_op = pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
FINISHES = {
    "freeze": lambda frozen: frozen,
    "optimize_for_inference": torch.jit.optimize_for_inference,
}
by_finish = pytest.mark.parametrize("finish", FINISHES.values(), ids=FINISHES)


def calling(calls: list[tuple[Op, tuple[Any, ...]]], times: int = 1, finish: Any = None) -> Any:
    """A script that makes all calls, so many times, and returns what the last one does.

    All arguments are attributes, of which freezing, which comes before a ``finish``, makes
    constants if it takes them to be unchanged; lists it would take to be so.
    """

    class Holder(nn.Module):  # a new class: torch gives modules of one class one script
        pass

    holder, lines, lists = Holder(), [], []
    for number, (op, arguments) in enumerate(calls):
        written = []
        for argument, value in zip(op.overload._schema.arguments, arguments, strict=False):
            name = f"{argument.name}_{number}"
            if isinstance(value, Tensor):
                holder.register_buffer(name, value)
            else:
                setattr(holder, name, value)
            if isinstance(value, list) and isinstance(value[0], Tensor):
                lists.append(name)
                written.append(f"[each for each in self.{name}]")
            else:
                written.append(f"self.{name}")
        written += [f"{name}={value!r}" for name, value in op.keywords.items()]
        lines.append(f"torch.ops.atomics.{packet(op)}({', '.join(written)})")
    *others, last = lines * times
    script = torch.jit.script(holder.eval())
    script.define("\n    ".join(["def forward(self):", *others, f"return {last}\n"]))
    return finish(torch.jit.freeze(script, preserved_attrs=lists)) if finish else script


def packet(op: Op) -> str:
    return op.name.split(".")[0]


def calls_in(graph: Any) -> list[str]:
    kinds = [node.kind() for node in graph.nodes()]
    return [kind.removeprefix("atomics::") for kind in kinds if kind.startswith("atomics::")]


def assert_same(one: Any, other: Any) -> None:
    """The same tensors and numbers; but no two mutexes are the same."""

    def comparable(given: Any) -> list[Any]:
        leaves = [leaf for leaf in tree_leaves(given) if leaf is not None]
        return [
            each for each in leaves if not isinstance(each, Tensor) or each.shape[-1:] != (128,)
        ]

    torch.testing.assert_close(comparable(one), comparable(other), rtol=0, atol=0)


@by_op
def test_scripted_op_returns_and_changes_what_the_call_does(op):
    for dtype in op.dtypes:
        ours, expected = op.arguments(dtype), op.arguments(dtype)
        returned = calling([(op, ours)])()
        assert_same(returned, op.overload(*expected, **op.keywords))
        assert_same(ours, expected)


@by_op
@by_finish
def test_every_call_is_made_though_nothing_uses_what_it_returns(op, finish):
    ours, expected = op.arguments(op.dtypes[-1]), op.arguments(op.dtypes[-1])
    script = calling([(op, ours)], times=3, finish=finish)
    assert calls_in(script.inlined_graph) == [packet(op)] * 3
    if op.name not in ONCE:
        for _ in range(3):  # torch profiles the first runs and optimizes the next ones
            returned = script()
        *_, last = [op.overload(*expected, **op.keywords) for _ in range(9)]
        assert_same(returned, last)
        assert_same(ours, expected)


@by_finish
def test_calls_stay_in_the_order_in_which_they_are_written(finish):
    """Though each changes something else, and nothing ties them together."""
    ops = [op for op in OPS if op.name not in ONCE]
    script = calling([(op, op.arguments(op.dtypes[-1])) for op in ops], finish=finish)
    for _ in range(3):
        script()
    written = [packet(op) for op in ops]
    assert calls_in(script.inlined_graph) == written
    assert calls_in(torch.jit.last_executed_optimized_graph()) == written
