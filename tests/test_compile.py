"""torch.compile never makes an update vanish: our ops break the graph, or fullgraph raises."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
import torch
from op_table import ALL, HANDLES
from support import NO_WARNINGS, run_threads

from caffe2op_atomics import AtomicBool, Counter, Mutex, ops

pytestmark = [*NO_WARNINGS, pytest.mark.usefixtures("fresh_compiler")]

BACKENDS = ["inductor", "aot_eager"]
ONE = torch.ones(1, dtype=torch.int64)
WEIGHTS = torch.ones(1)


def read_before_and_use_after(x):
    """The pattern that makes torch run an in-place op on a clone."""
    y = x.float() * 2
    torch.ops.atomics.fetch_add(x, ONE)
    return (y * WEIGHTS).sum()


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_update_is_lost_beside_an_eager_thread(backend):
    n = 3000
    cell = torch.zeros(1, dtype=torch.int64)
    compiled = torch.compile(read_before_and_use_after, backend=backend)
    compiled(torch.zeros(1, dtype=torch.int64))

    def work(rank):
        for _ in range(n):
            if rank:
                compiled(cell)
            else:
                torch.ops.atomics.fetch_add(cell, ONE)

    run_threads(2, work)
    assert cell.item() == 2 * n


CLONING = {
    "read before and after": lambda x, op: (x * 3, op(x), x + 1),
    "write before": lambda x, op: (x.add_(1), op(x), x + 1),
    "copy before": lambda x, op: (x.copy_(torch.full_like(x, 4)), op(x)),
    "item write before": lambda x, op: (x[0].fill_(7), op(x)),
    "write between": lambda x, op: (op(x), x.mul_(2), op(x)),
    "view": lambda x, op: (x[1:] * 2, op(x[1:]), x[1:] + 1),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("pattern", CLONING)
def test_compiled_function_leaves_what_eager_leaves_in_the_same_memory(pattern, backend):
    touched = []

    def op(x):
        touched.append(x.data_ptr())
        return torch.ops.atomics.fetch_add(x, torch.ones(1))

    function = CLONING[pattern]
    compiled = torch.compile(function, backend=backend)
    eager_x, compiled_x = torch.arange(4.0), torch.arange(4.0)
    function(eager_x, op)
    touched.clear()
    address = compiled_x.data_ptr()
    compiled(compiled_x, op)
    assert torch.equal(eager_x, compiled_x)
    offset = 4 if pattern == "view" else 0
    assert set(touched) == {address + offset}


@pytest.mark.parametrize("op", [op for op in ALL if op not in HANDLES], ids=lambda op: op.name)
def test_fullgraph_raises_for_every_op_on_tensors(op):
    args = op.arguments(op.dtypes[0])
    packet = getattr(torch.ops.atomics, op.name.split(".")[0])
    for callee in (op.overload, packet):
        compiled = torch.compile(
            lambda *args, f=callee, **keywords: f(*args, **keywords),
            fullgraph=True,
            backend="eager",
        )
        with pytest.raises(torch._dynamo.exc.Unsupported):
            compiled(*args, **op.keywords)


def test_wrappers_and_classes_work_in_compiled_functions():
    counter, flag, mutex = Counter(), AtomicBool(), Mutex()
    table = torch.zeros(3, dtype=torch.int64)
    permits = torch.zeros(2, dtype=torch.uint8)
    weights = torch.zeros(2, dtype=torch.bfloat16)
    index = torch.tensor([2, 0, 2])
    taken, drawn = [], []

    @torch.compile(backend="aot_eager")
    def step(x):
        y = x * 2
        ticket = counter.next()
        drawn.append(ops.index_fetch_add(table, 0, index, 1))
        taken.append(ops.fetch_add_below(permits, 1, limit=2)[1])
        ops.add_(weights, 1, stochastic_rounding=True)
        flag.set()
        with mutex:
            z = y + ticket
        return z

    for ticket in range(3):
        assert step(torch.ones(2)).tolist() == [2 + ticket] * 2
    assert counter.value == 3
    assert table.tolist() == [3, 0, 6]
    assert [old.tolist() for old in drawn] == [[0, 0, 1], [2, 1, 3], [4, 2, 5]]
    assert [success.tolist() for success in taken] == [[True] * 2, [True] * 2, [False] * 2]
    assert weights.tolist() == [3, 3]
    assert flag.is_set()
    assert not mutex.locked()


@torch.library.custom_op("test_compile::count", mutates_args=())
def count(x: torch.Tensor) -> torch.Tensor:
    COUNTED.next()
    return x.clone()


count.register_fake(torch.empty_like)
COUNTED = Counter()


def counted_by_a_call(x):
    before = COUNTED.value
    y = count(x)
    return y + (COUNTED.value - before)


def test_counter_is_read_where_a_compiled_function_reads_it():
    compiled = torch.compile(counted_by_a_call, backend="eager", fullgraph=True)
    for _ in range(3):
        assert compiled(torch.zeros(1)).item() == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_elsewhere_are_unaffected(backend):
    weight = torch.nn.Parameter(torch.tensor([2.0]))
    cell = torch.zeros(1, dtype=torch.int64)

    @torch.compile(backend=backend)
    def loss(x):
        y = weight * x
        torch.ops.atomics.fetch_add(cell, ONE)
        return (y * y).sum()

    loss(torch.tensor([3.0])).backward()
    assert weight.grad.tolist() == [36]
    assert cell.item() == 1


IMPORTS = {
    "package first": "import caffe2op_atomics, sys; assert 'torch._dynamo' not in sys.modules",
    "dynamo first": "import torch._dynamo, caffe2op_atomics",
    "dynamo first, failing once": """
        import importlib.machinery, sys, torch, caffe2op_atomics
        class Broken:
            def find_spec(self, name, path=None, target=None):
                if name == "torch._dynamo":
                    raise ImportError("once")
        broken = Broken()
        sys.meta_path.insert(0, broken)
        try:
            import torch._dynamo
        except ImportError:
            sys.meta_path.remove(broken)
    """,
}


def test_import_of_dynamo_hides_no_finder_from_a_thread_that_imports_meanwhile():
    script = """
import sys, torch, caffe2op_atomics
finders = list(sys.meta_path)
meanwhile = iter(sys.meta_path)
next(meanwhile)
import torch._dynamo
assert list(meanwhile)[: len(finders) - 1] == finders[1:]
    """
    subprocess.run([sys.executable, "-c", script], check=True, timeout=100)


@pytest.mark.parametrize("order", IMPORTS)
def test_guard_works_whichever_is_imported_first(order):
    script = textwrap.dedent(IMPORTS[order]) + textwrap.dedent(
        """
        import torch
        x, one = torch.zeros(1, dtype=torch.int64), torch.ones(1, dtype=torch.int64)
        def f(x):
            y = x * 3
            torch.ops.atomics.fetch_add(x, one)
            return y + x
        try:
            torch.compile(f, fullgraph=True, backend="aot_eager")(x)
        except torch._dynamo.exc.Unsupported:
            print("refused", x.item())
        """
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=100, check=False
    )
    assert result.stdout.strip() == "refused 0", result.stderr
