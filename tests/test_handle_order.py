"""The order of ops on handles in compiled graphs: what holds, and how to say more."""

from __future__ import annotations

import pytest
import torch
from functorch.compile import make_boxed_func
from torch import Tensor, fx
from torch._dynamo.backends.common import aot_autograd

from caffe2op_atomics import AtomicBool, Counter, GuardedTensor, foreach_add_, ops

BACKENDS = ["inductor", "aot_eager"]
ONE = torch.tensor(1)

done: list[str] = []


@pytest.fixture(autouse=True)
def fresh():
    torch._dynamo.reset()
    done.clear()
    yield
    torch._dynamo.reset()


@torch.library.custom_op("test_handle_order::work", mutates_args=())
def work(x: Tensor) -> Tensor:
    """What takes long and touches nothing that a compiler sees."""
    done.append("work" if not FLAG.is_set() else "work, too late")
    return x + 1


work.register_fake(torch.empty_like)
FLAG = AtomicBool()


def work_last(graph: fx.GraphModule, _: object) -> object:
    """A compiler that puts that off for as long as nothing asks for its result."""
    placed: dict[fx.Node, None] = {}
    waiting = list(graph.graph.nodes)
    while waiting:
        ready = [node for node in waiting if all(each in placed for each in node.all_input_nodes)]
        ready.sort(key=lambda node: (node.op == "output", "work" in str(node.target)))
        placed[ready[0]] = None
        waiting.remove(ready[0])
    result, copies = fx.Graph(), {}
    for node in placed:
        copies[node] = result.node_copy(node, copies.__getitem__)
    return make_boxed_func(fx.GraphModule(graph, result))


WORK_LAST = aot_autograd(fw_compiler=work_last)


def tell(x: Tensor) -> Tensor:
    y = work(x)
    FLAG.set()
    return y


def tell_after(x: Tensor) -> Tensor:
    y = work(x)
    ops.handle_after(FLAG.handle, y)
    FLAG.set()
    return y


@pytest.mark.parametrize("backend", [*BACKENDS, WORK_LAST])
def test_what_was_calculated_before_is_done_before(backend):
    FLAG.clear()
    torch.compile(tell_after, backend=backend, fullgraph=True)(torch.zeros(1))
    assert done == ["work"]
    assert FLAG.is_set()


def test_a_compiler_may_do_it_later_if_nobody_says_so():
    """The control: that compiler makes use of it."""
    FLAG.clear()
    torch.compile(tell, backend=WORK_LAST, fullgraph=True)(torch.zeros(1))
    assert done == ["work, too late"]


def in_turns(handle: Tensor, x: Tensor) -> tuple[Tensor, ...]:
    first = ops.handle_load(handle, [], torch.int64)
    ops.handle_store_(handle, torch.tensor(10))
    second = ops.handle_fetch_add(handle, ONE)
    ops.handle_add_(handle, ONE, alpha=5)
    third = ops.handle_load(handle, [], torch.int64)
    ops.handle_store_(handle, third * 2)
    return first, second, third, ops.handle_load(handle, [], torch.int64) + x


@pytest.mark.parametrize("backend", [*BACKENDS, WORK_LAST])
def test_ops_on_one_handle_run_in_their_order(backend):
    cell, x = torch.tensor(3), torch.tensor(100)
    compiled = torch.compile(in_turns, backend=backend, fullgraph=True)
    for before in (3, 32):
        results = compiled(ops.handle(cell), x)
        assert [result.item() for result in results] == [before, 10, 16, 132]
        assert cell.item() == 32


@pytest.mark.parametrize("backend", BACKENDS)
def test_calls_whose_results_nobody_uses_are_made(backend):
    counter, x = Counter(), torch.zeros(2)

    def step(x: Tensor) -> Tensor:
        for _ in range(3):
            counter.next()
        ops.handle_fetch_add(counter.handle, ONE)
        return x + 1

    compiled = torch.compile(step, backend=backend, fullgraph=True)
    compiled(x)
    compiled(x)
    assert counter.value == 8


LAYERS = [GuardedTensor(torch.full((2, 2), float(k + 2))) for k in range(3)]


def train(x: Tensor) -> Tensor:
    """Each gradient depends on a weight that is updated before it in the program."""
    first, second, third = (layer.tensor for layer in LAYERS)
    y = work(x)
    gradients = [(y @ second @ third).sum() + first, (first * third), work(first * second)]
    foreach_add_(LAYERS, gradients, alpha=-1)
    return y


@pytest.mark.parametrize("backend", [*BACKENDS, WORK_LAST])
def test_all_gradients_are_of_the_weights_before_the_update(backend):
    for k, layer in enumerate(LAYERS):
        layer.store_(float(k + 2))
    x = torch.ones(1, 2)
    torch.compile(train, backend=backend, fullgraph=True)(x)
    total = (2 * torch.ones(1, 2) @ torch.full((2, 2), 3.0) @ torch.full((2, 2), 4.0)).sum()
    expected = [2 - (total.item() + 2), 3.0 - 8, 4.0 - 7]
    assert [layer.tensor.unique().tolist() for layer in LAYERS] == [[each] for each in expected]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "copy",
    [
        Tensor.clone,
        lambda x: x * 1,
        lambda x: x + 0,
        lambda x: torch.cat([x]),
        lambda x: x.expand(2, 2).contiguous(),
    ],
)
def test_copy_that_a_compiler_leaves_out_is_made(copy, backend):
    """It sees nobody write to the tensors."""
    first, second, third = LAYERS
    for layer in LAYERS:
        layer.store_(1)

    def step() -> None:
        foreach_add_([first, second], [copy(second.tensor) * 2, copy(first.tensor)])
        third.add_(copy(third.tensor))

    compiled = torch.compile(step, backend=backend, fullgraph=True)
    for _ in range(2):
        compiled()
    assert [layer.tensor.unique().tolist() for layer in LAYERS] == [[7], [5], [4]]


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradient_that_is_another_weight_is_that_before_the_update(backend):
    first, second, _ = LAYERS
    first.store_(1)
    second.store_(2)

    def step() -> None:
        gradients = torch.func.grad(lambda a, b: a.view(-1) @ b.view(-1), argnums=(0, 1))(
            first.tensor, second.tensor
        )
        foreach_add_([first, second], gradients)

    torch.compile(step, backend=backend, fullgraph=True)()
    assert [layer.tensor.unique().tolist() for layer in LAYERS[:2]] == [[3], [3]]
