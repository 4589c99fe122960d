"""Handles and what torch's partitioner, inference mode and subclasses do with them, compiled."""

from __future__ import annotations

import pytest
import torch
import torch._functorch.config
import torch._inductor.config
from torch import Tensor

from caffe2op_atomics import Counter, GuardedTensor, ops

ONE = torch.ones(3)
BUDGETS = [{"activation_memory_budget": 0.5}, {"activation_memory_budget": 0.0}]
SAVERS = [*BUDGETS, {"aggressive_recomputation": True}, {}]


@pytest.fixture(autouse=True)
def fresh():
    torch._dynamo.reset()
    with torch._inductor.config.patch(fx_graph_cache=False):
        yield
    torch._dynamo.reset()


@pytest.mark.parametrize("saver", SAVERS, ids=str)
def test_backward_runs_no_op_again(saver):
    """And its gradients are those of the ticket that the forward got."""
    cell, counter = torch.zeros(3), Counter()
    handle = ops.handle(cell)

    def loss(x: Tensor) -> Tensor:
        ticket = ops.handle_fetch_add(handle, ONE) + ops.handle_load(handle, [3], torch.float32)
        y = x * (ticket + counter.next())
        return (torch.sin(y) * torch.cos(y)).sum()

    with torch._functorch.config.patch(saver):
        compiled = torch.compile(loss, fullgraph=True)
        for call in range(3):
            x = torch.ones(3, requires_grad=True)
            compiled(x).backward()
            scale = torch.tensor(3.0 * call + 1)
            torch.testing.assert_close(x.grad, (scale * torch.cos(2 * scale)).expand(3))
    assert cell.tolist() == [3, 3, 3]
    assert counter.value == 3


@pytest.mark.parametrize("backend", ["inductor", "aot_eager"])
def test_object_that_was_made_in_inference_mode_is_counted(backend):
    with torch.inference_mode():
        counter, table = Counter(), GuardedTensor(torch.zeros(3))
        handle = ops.handle(torch.zeros(1))

    def count(x: Tensor) -> Tensor:
        table.add_(x)
        ops.handle_add_(handle, x[:1])
        return x + counter.next()

    compiled = torch.compile(count, backend=backend, fullgraph=True)
    for call in range(2):
        assert compiled(ONE).tolist() == [1 + call] * 3
    assert (counter.value, table.snapshot().tolist()) == (2, [2, 2, 2])


class Doubling(Counter):
    def fetch_add(self, n: int, /) -> int:
        return super().fetch_add(2 * n)


def test_operators_are_their_own_before_and_after_dynamo_is_imported():
    counter = Doubling()
    counter += 1
    counter.fetch_add(1)

    def count(x: Tensor) -> Tensor:
        nonlocal counter
        counter += 1
        counter.fetch_add(1)
        return x

    torch.compile(count, backend="eager")(ONE)  # super() in a subclass breaks the graph
    assert counter.value == 6


def test_operators_stay_in_the_graph():
    counter = Counter()

    def count(x: Tensor) -> Tensor:
        nonlocal counter
        counter += 5
        counter -= 2
        return x

    torch.compile(count, backend="eager", fullgraph=True)(ONE)
    assert counter.value == 3


def test_each_object_shows_itself():
    compiled = torch.compile(lambda counter, x: (str(counter), x + 1), backend="eager")
    assert [compiled(Counter(n), ONE)[0] for n in (5, 50)] == [
        "Counter(value=5)",
        "Counter(value=50)",
    ]


def test_objects_are_made_in_functions_of_dynamic_shapes():
    def make(x: Tensor) -> Tensor:
        return x + Counter(3).next() + GuardedTensor([2]).snapshot().sum()

    compiled = torch.compile(make, backend="eager", dynamic=True)
    assert compiled(ONE).tolist() == [4, 4, 4]
