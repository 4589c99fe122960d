"""torch.export, functional transforms and AOTInductor: right, or refused in our words."""

from __future__ import annotations

import io
import re
import subprocess
import sys

import pytest
import torch
from op_table import ALL, DENSE, HANDLES, Op
from torch import Tensor, nn
from torch.utils._pytree import tree_map, tree_map_only

from caffe2op_atomics import AtomicBool, Counter, GuardedTensor, Mutex, ops, optim

atomics = torch.ops.atomics

X = (torch.zeros(3),)
strict_or_not = pytest.mark.parametrize("strict", [False, True])


class Plain(nn.Module):
    """Counts its calls by a plain op."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        return x + atomics.fetch_add(self.calls, torch.ones(3))


class ByHandle(nn.Module):
    """Counts its calls by a handle: a buffer, of which every program has its own copy."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = torch.zeros(3)
        self.register_buffer("handle", ops.handle(self.calls), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + ops.handle_fetch_add(self.handle, torch.ones(3))


class ByCounter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.counter = Counter()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.counter.next()


def run_twice(program: torch.export.ExportedProgram) -> list[float]:
    module = program.module()
    return [module(*X)[0].item() for _ in range(2)]


@strict_or_not
def test_program_with_a_handle_works_in_place(strict):
    module = ByHandle()
    program = torch.export.export(module, X, strict=strict)
    assert run_twice(program) == [0, 1]
    assert run_twice(program.run_decompositions()) == [2, 3]
    assert module.calls.tolist() == [4, 4, 4]


@strict_or_not
def test_saved_program_names_what_it_named(strict):
    module, file = ByHandle(), io.BytesIO()
    torch.export.save(torch.export.export(module, X, strict=strict), file)
    file.seek(0)
    assert run_twice(torch.export.load(file)) == [0, 1]
    assert module.calls.tolist() == [2, 2, 2]


def test_program_is_refused_in_another_process(tmp_path):
    path = tmp_path / "program.pt2"
    torch.export.save(torch.export.export(ByHandle(), X), path)
    script = f"""
import torch, caffe2op_atomics
torch.export.load({str(path)!r}).module()(torch.zeros(3))
"""
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=100, check=False
    )
    rule = "handle_fetch_add: handle must name a tensor that is registered in this process"
    assert rule in run.stderr


def test_program_is_refused_once_the_handle_is_released():
    module = ByHandle()
    program = torch.export.export(module, X)
    ops.handle_release(module.handle)
    with pytest.raises(RuntimeError, match=r"^handle_fetch_add: handle must name a tensor that is"):
        run_twice(program)


def test_methods_are_ops_on_handles_in_a_strict_program():
    module = ByCounter()
    assert run_twice(torch.export.export(module, X, strict=True)) == [0, 1]
    assert module.counter.value == 2


@pytest.mark.parametrize(
    "use",
    [
        lambda: COUNTER.next(),
        lambda: COUNTER.value,
        lambda: COUNTER.fetch_add(2),
        lambda: COUNTER.wait_until(0),
        lambda: FLAG.set(),
        lambda: FLAG.clear(),
        lambda: FLAG.is_set(),
        lambda: bool(FLAG),
        lambda: FLAG.wait(0),
        lambda: FLAG.set_if(True),
        lambda: MUTEX.acquire(),
        lambda: MUTEX.locked(),
    ],
)
def test_methods_are_refused_where_their_results_would_be_baked_in(use):
    class Uses(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            use()
            return x + 1

    with pytest.raises(RuntimeError, match=r"must not be (used while torch\.export )?trace"):
        torch.export.export(Uses(), X, strict=False)
    assert (COUNTER.value, FLAG.is_set(), MUTEX.locked()) == (0, False, False)


COUNTER, FLAG, MUTEX = Counter(), AtomicBool(), Mutex()


def test_other_threads_count_while_one_exports():
    from concurrent.futures import ThreadPoolExecutor

    counter = Counter()
    with ThreadPoolExecutor(1) as other:

        class Asks(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                other.submit(counter.next).result()
                return x + 1

        torch.export.export(Asks(), X, strict=False)
    assert counter.value == 1


def test_program_with_a_plain_op_runs_in_place_and_is_not_decomposed():
    module = Plain()
    program = torch.export.export(module, X, strict=False)
    assert run_twice(program) == [0, 1]
    assert module.calls.tolist() == [2, 2, 2]
    rule = "fetch_add must run on the caller's own memory, which a graph would copy"
    with pytest.raises(RuntimeError, match=rule):
        program.run_decompositions()
    with pytest.raises(RuntimeError, match=rule):
        torch._inductor.aoti_compile_and_package(program)
    with pytest.raises(torch._dynamo.exc.Unsupported, match=rule):
        torch.export.export(module, X, strict=True)


each_plain = pytest.mark.parametrize(
    "op", [op for op in ALL if op not in HANDLES], ids=lambda op: op.name
)


def traced(op: Op) -> None:
    from functorch.compile import aot_function, nop

    args = op.arguments(op.dtypes[-1])
    aot_function(lambda *args: op.overload(*args, **op.keywords), nop)(*args)


@each_plain
def test_no_plain_op_is_functionalized(op):
    if op.name in ("create_mutex", "create_atomic_bool"):
        return  # makes something, and changes nothing
    with pytest.raises(RuntimeError) as caught:
        traced(op)
    name = op.name.split(".")[0]
    text = str(caught.value).splitlines()[0]
    assert re.match(rf"({name}|handle)\b.* (must|has no place|changes what)", text), text


@pytest.mark.parametrize("op", DENSE + HANDLES, ids=lambda op: op.name)
def test_vmap_is_refused(op):
    args = op.arguments(op.dtypes[-1])
    batched = tree_map_only(Tensor, lambda arg: arg.expand(2, *arg.shape), args)
    dims = tree_map(lambda arg: 0 if isinstance(arg, Tensor) else None, args)
    name = op.name.split(".")[0]
    with pytest.raises(RuntimeError, match=rf"^{name}: arguments must not be batched by"):
        torch.vmap(op.overload, in_dims=dims)(*batched)


@pytest.mark.parametrize("transform", [torch.func.grad, torch.func.hessian, torch.func.jacrev])
def test_derivatives_are_taken_beside_an_update_that_is_made_once(transform):
    calls = torch.zeros(1)

    def loss(x: Tensor) -> Tensor:
        atomics.add_(calls, torch.ones(1))
        return (x * x).sum()

    transform(loss)(torch.ones(3))
    assert calls.item() == 1


@strict_or_not
def test_optimizer_s_step_is_refused(strict):
    weight = nn.Parameter(torch.zeros(3).share_memory_())
    weight.grad = torch.ones(3)
    optimizer = optim.SGD([weight], lr=1.0)

    class Steps(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            optimizer.step()
            return x + 1

    with pytest.raises((RuntimeError, torch._dynamo.exc.Unsupported)):
        torch.export.export(Steps(), X, strict=strict)
    assert weight.tolist() == [0, 0, 0]


@pytest.mark.parametrize("n", [0.5, torch.tensor(2.5), "1"])
@pytest.mark.parametrize("fullgraph", [False, True])
def test_number_that_is_no_integer_is_refused_in_a_graph_too(n, fullgraph):
    counter = Counter()

    def count(x: Tensor) -> Tensor:
        counter.fetch_add(n)
        return x + 1

    torch._dynamo.reset()
    with pytest.raises((TypeError, RuntimeError)):
        torch.compile(count, backend="eager", fullgraph=fullgraph)(torch.ones(1))
    assert counter.value == 0


@pytest.mark.parametrize("n", [2, 1.5, torch.tensor(3.0)])
def test_guarded_tensor_takes_numbers_in_a_graph(n):
    counter, table = Counter(4), GuardedTensor([2])

    def add(x: Tensor) -> Tensor:
        table.add_(n)
        table.add_(counter.next())
        return table.add_(x * 0.5).tensor + 0

    torch._dynamo.reset()
    torch.compile(add, fullgraph=True)(torch.ones(2))
    assert table.snapshot().tolist() == [float(n) + 4.5] * 2


def test_fraction_for_an_integer_table_is_refused_in_a_graph_too():
    table = GuardedTensor([2], dtype=torch.int64)
    for fullgraph in (True, False):
        torch._dynamo.reset()
        with pytest.raises((ValueError, RuntimeError)):
            torch.compile(lambda: table.add_(0.5), backend="eager", fullgraph=fullgraph)()
    assert table.snapshot().tolist() == [0, 0]
