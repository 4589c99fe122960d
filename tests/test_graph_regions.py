"""Cells in regions that torch traces apart, in a backward, and under other settings of compile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from graph_cells import FIRST, Cell, Handle, OfCounter, Plain
from graphs_control import WEIGHT
from support import NO_WARNINGS
from torch._higher_order_ops import scan, while_loop
from torch.utils.checkpoint import checkpoint
from touched import touched

pytestmark = [*NO_WARNINGS, pytest.mark.usefixtures("fresh_compiler")]

KINDS = [Plain, Handle, OfCounter]

kinds = pytest.mark.parametrize("kind", KINDS)
backends = pytest.mark.parametrize("backend", ["inductor", "aot_eager", "eager"])


def is_right(compiled: Callable[..., Any], shape: Callable[..., Any], kind: type[Cell], *more: int):
    """Two calls, or more, with data of other lengths."""
    eager_cell, cell = kind(), kind()
    for length in (4, 4, *more):
        x = torch.arange(length)
        with touched() as by_compiled:
            result = compiled(cell, x)
        assert torch.equal(result, shape(eager_cell, x))
        assert cell.memory.tolist() == eager_cell.memory.tolist()
        assert len(by_compiled.within(cell.memory[FIRST])) == len(by_compiled.targets)


def conditional(cell, x):
    return torch.cond(
        x.sum() > 6, lambda x: x * cell.fetch(2).max(), lambda x: x + cell.fetch(1).max(), (x,)
    )


@torch.compiler.nested_compile_region
def region(cell, x):
    return x * cell.fetch(1)


def nested(cell, x):
    return region(cell, region(cell, x))


def whiled(cell, x):
    return while_loop(
        lambda i, _: i < 3, lambda i, x: (i + 1, x + cell.fetch(1)), (torch.tensor(0), x)
    )[1]


def scanned(cell, x):
    return scan(lambda sum_, row: (sum_ + row, cell.fetch(1) + row), torch.tensor(0), x)[0]


@kinds
@backends
@pytest.mark.parametrize("shape", [conditional, nested, whiled, scanned])
def test_region_is_right_or_refused_before_anything_changes(shape, backend, kind):
    """torch captures such a region as a whole: never with an op that breaks the graph."""
    cell = kind()
    compiled = torch.compile(shape, backend=backend, fullgraph=kind.whole)
    with touched() as by_compiled:
        try:
            compiled(cell, torch.arange(4))
        except torch._dynamo.exc.TorchDynamoException:
            assert not by_compiled.targets
            assert cell.memory.equal(torch.arange(16))
            return
    assert kind is not Plain
    is_right(compiled, shape, kind)


class CountedBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weight, cell):
        ctx.cell = cell
        return weight * 2

    @staticmethod
    def backward(ctx, gradient):
        return gradient * (1 + ctx.cell.fetch(1)), None


def train(cell: Cell, x: torch.Tensor) -> torch.Tensor:
    return CountedBackward.apply(WEIGHT * x, cell).sum()


def gradient_of(cell: Cell, x: torch.Tensor, function: Callable[..., Any]) -> torch.Tensor:
    WEIGHT.grad = None
    function(cell, x).backward()
    return WEIGHT.grad


@kinds
@backends
def test_counted_in_backward(backend, kind):
    compiled = torch.compile(train, backend=backend)
    is_right(
        lambda cell, x: gradient_of(cell, x, compiled),
        lambda cell, x: gradient_of(cell, x, train),
        kind,
    )


# A handle is changed in the backward: under compiled autograd torch fails at any such tensor.
@pytest.mark.parametrize("kind", [Plain, OfCounter])
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_counted_in_compiled_backward(backend, kind):
    def step(cell, x):
        train(cell, x).backward()

    def gradient(cell, x):
        with torch._dynamo.config.patch(compiled_autograd=True):
            WEIGHT.grad = None
            torch.compile(step, backend=backend)(cell, x)
        return WEIGHT.grad

    is_right(gradient, lambda cell, x: gradient_of(cell, x, train), kind)


@pytest.mark.parametrize(("kind", "calls"), [(Plain, 2), (Handle, 1)])
def test_checkpointed_update_is_made_again_outside_of_a_graph_only(kind, calls):
    """Eager code runs all of it again for the backward, a graph what it can without effects."""

    def shape(cell, x):
        def part(weight):
            cell.add(1)
            return torch.sin(weight * x)

        return checkpoint(part, WEIGHT, use_reentrant=False).sum()

    for function, expected in ((shape, 2), (torch.compile(shape, backend="aot_eager"), calls)):
        cell = kind()
        gradient_of(cell, torch.arange(4), function)
        assert cell.memory[FIRST].equal(torch.arange(16)[FIRST] + expected)


def cloning(cell, x):
    y = cell.read() * 3
    cell.add(x.shape[0])
    z = y + cell.read()
    old = cell.fetch(1)
    return z.sum() * x + (old - z).sum() if isinstance(z, torch.Tensor) else z * x + old - z


@kinds
@backends
def test_dynamic_shapes(backend, kind):
    compiled = torch.compile(cloning, backend=backend, dynamic=True, fullgraph=kind.whole)
    is_right(compiled, cloning, kind, 5, 7)


@kinds
@pytest.mark.parametrize("options", [{"mode": "reduce-overhead"}, {"mode": "max-autotune"}])
def test_modes_of_inductor(options, kind):
    compiled = torch.compile(cloning, fullgraph=kind.whole, **options)
    is_right(compiled, cloning, kind)


@kinds
def test_graph_is_used_for_other_cells(kind):
    """The cell is an input of the graph, not a part of it."""
    compiled = torch.compile(cloning, backend="aot_eager", fullgraph=kind.whole)
    for _ in range(4):
        is_right(compiled, cloning, kind)
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    is_right(compiled, cloning, kind)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == graphs
