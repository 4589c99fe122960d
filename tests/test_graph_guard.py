"""What keeps the ops out of graphs: it is there in this torch, and without it they get a clone."""

from __future__ import annotations

import os
import pkgutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from support import NO_WARNINGS

from caffe2op_atomics import AtomicBool, Counter, Mutex, library_path, ops
from caffe2op_atomics._cells import WHY_SLOW

pytestmark = [*NO_WARNINGS, pytest.mark.usefixtures("fresh_compiler")]

# Of _compile.py, _traced.py and _refusals.py.
RELIED_ON = [
    "torch._dynamo:disallow_in_graph",
    "torch._dynamo:graph_break",
    "torch._dynamo:patch_dynamo_config",
    "torch._dynamo.config:capture_scalar_outputs",
    "torch._dynamo.trace_rules:add",
    "torch._subclasses.functional_tensor:FunctionalTensorMode",
    "torch.compiler:_is_exporting_flag",
    "torch.compiler:is_dynamo_compiling",
    "torch.compiler:substitute_in_graph",
    "torch.library:register_fake",
    "torch.library:register_torch_dispatch",
]


@pytest.mark.parametrize("name", RELIED_ON)
def test_torch_has_what_the_guard_relies_on(name):
    pkgutil.resolve_name(name)


PACKET = torch.ops.atomics.fetch_add
OVERLOAD, OF_NUMBERS = PACKET.default, PACKET.int
TRY_LOCK = torch.ops.atomics.mutex_try_lock

COUNTER, FLAG, MUTEX = Counter(5), AtomicBool(), Mutex()
CELL, ONE = torch.zeros(1, dtype=torch.int64), torch.ones(1, dtype=torch.int64)
BANK = torch.ops.atomics.create_mutex()

OF_OPS = "reason: {} must run on the caller's own memory"
BREAKS = {
    "packet": (lambda: PACKET(CELL, ONE), OF_OPS.format("fetch_add")),
    "overload": (lambda: OVERLOAD(CELL, ONE), OF_OPS.format("fetch_add")),
    "overload of numbers": (lambda: OF_NUMBERS(CELL, 1), OF_OPS.format("fetch_add")),
    "wrapper": (lambda: ops.add_(CELL, 1), OF_OPS.format("add_")),
    "lock": (lambda: TRY_LOCK(BANK), "reason: mutex_try_lock: a lock has no place in a graph"),
    "Counter.wait_until": (lambda: COUNTER.wait_until(1), "Counter.wait_until waits"),
    "AtomicBool.wait": (lambda: FLAG.wait(0), "AtomicBool.wait waits"),
    "AtomicBool.set_if": (lambda: FLAG.set_if(True), "AtomicBool.set_if has no form in a graph"),
    "Mutex.locked": (lambda: MUTEX.locked(), "Mutex.locked belongs to a lock"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_break_says_why_and_warns_of_nothing(name):
    call, reason = BREAKS[name]
    if WHY_SLOW is not None and name[0].isupper():
        pytest.skip("methods in Python are what they call")

    def function(x):
        y = x * 3
        call()
        return y + 1

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.compile(function, backend="eager")(torch.zeros(1))
    assert not caught
    breaks = list(torch._dynamo.utils.counters["graph_break"])
    assert breaks
    assert all(reason in each for each in breaks)
    torch._dynamo.reset()  # or it goes on with the graphs around the break
    with pytest.raises(torch._dynamo.exc.Unsupported) as refused:
        torch.compile(function, backend="eager", fullgraph=True)(torch.zeros(1))
    assert reason in str(refused.value)


def test_methods_are_in_the_graph_whatever_becomes_of_item():
    """Whose treatment in graphs they change for their own numbers only."""
    item = torch.ones(1)

    def ours(x):
        return x + COUNTER.next() + COUNTER.value + FLAG.is_set()

    def item_too(x):
        return ours(x) + item.item()

    torch.compile(ours, backend="eager", fullgraph=True)(torch.zeros(1))
    torch.compile(item_too, backend="eager")(torch.zeros(1))
    assert any("Tensor.item" in each for each in torch._dynamo.utils.counters["graph_break"])


CONTROL = """
import sys
import torch
from touched import touched

if sys.argv[2] == "guarded":
    import caffe2op_atomics
    torch._dynamo.allow_in_graph(torch.ops.atomics.add_.default)
    torch.ops.atomics.add_.default._torchdynamo_disable = False
else:
    torch.ops.load_library(sys.argv[1])
op, cell, one = torch.ops.atomics.add_.default, torch.arange(4), torch.ones(4, dtype=torch.int64)

def read_before_and_after(x):
    y = x * 3
    op(x, one)
    return y + x

with touched() as by_compiled:
    try:
        torch.compile(read_before_and_after, backend=sys.argv[3])(cell)
    except Exception as error:
        print(str(error))
print(len(by_compiled.targets), by_compiled.within(cell))
"""


def control(*arguments: str) -> list[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
        # Of graphs on disk: what one of these processes compiled the other would take.
        "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1",
    }
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CONTROL, library_path(), *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
        env=environment,
    ).stdout.splitlines()


@pytest.mark.parametrize("backend", ["inductor", "aot_eager"])
def test_without_the_package_an_op_gets_a_clone(backend):
    """The control of test_graphs.py: torch does clone, and the address that it is told shows it."""
    assert control("by its path", backend) == ["1 []"]


@pytest.mark.parametrize("backend", ["inductor", "aot_eager"])
def test_op_that_was_allowed_in_a_graph_is_refused_there(backend):
    """Which torch's hint after an error says to do."""
    _, error, *_, touches = control("guarded", backend)
    assert error.startswith("RuntimeError: add_ must run on the caller's own memory")
    assert touches == "0 []"
