"""Counters and flags in the memory of a GPU; their code, without one, over shared memory."""

from __future__ import annotations

import pytest
import torch
from support import run_processes, run_threads

from caffe2op_atomics import AtomicBool, Counter
from caffe2op_atomics._gpu import GpuCounter, GpuFlag

pytestmark = pytest.mark.usefixtures("device")


@pytest.fixture
def counter(device: str, monkeypatch: pytest.MonkeyPatch) -> Counter:
    tensor = torch.zeros(1, dtype=torch.int64).share_memory_()
    if device == "cpu":
        monkeypatch.setattr("caffe2op_atomics.counter.on_gpu", lambda *_: True)
    made = Counter(tensor=tensor)
    assert type(made) is GpuCounter
    return made


@pytest.fixture
def flag(device: str, monkeypatch: pytest.MonkeyPatch) -> AtomicBool:
    tensor = torch.zeros(1, dtype=torch.int32).share_memory_()
    if device == "cpu":
        monkeypatch.setattr("caffe2op_atomics.atomic_bool.on_gpu", lambda *_: True)
    made = AtomicBool(tensor=tensor)
    assert type(made) is GpuFlag
    return made


def test_counter_counts(counter):
    assert (counter.next(), counter.fetch_add(5), counter.fetch_sub(2)) == (0, 1, 6)
    counter += 10
    counter -= 3
    assert counter.value == counter.tensor.item() == 11
    assert counter.wait_until(11)
    assert not counter.wait_until(12, timeout=0.01)
    assert repr(counter) == "GpuCounter(value=11)"
    with pytest.raises(RuntimeError, match=r"^GpuCounter: it has no handle"):
        _ = counter.handle


def test_flag_is_set_by_what_is_true(flag):
    flag.set_if(False)
    flag.set_if(torch.tensor(False))
    assert not flag
    assert not flag.wait(timeout=0.01)
    flag.set_if(torch.tensor([True]))
    flag.set_if(torch.tensor(False))
    assert flag.is_set()
    flag.clear()
    assert not flag.is_set()
    flag.set()
    assert flag.wait()


@pytest.mark.parametrize(
    ("condition", "rule"),
    [
        (torch.ones(2, dtype=torch.bool), r"have one element, got shape \[2\]"),
        (torch.ones(1), "have dtype bool, got float32"),
        (
            torch.ones(1, dtype=torch.bool, device="meta"),
            "be on (cpu|cuda:0) like the flag, got me",
        ),
    ],
)
def test_condition_is_refused(flag, condition, rule):
    if condition.device.type == "cpu":
        condition = condition.to(flag.tensor.device)
    with pytest.raises(RuntimeError, match=f"^set_if: condition must {rule}"):
        flag.set_if(condition)
    with pytest.raises(TypeError, match=r"^set_if: condition must be a bool or a bool tensor, got"):
        flag.set_if("yes")
    assert not flag


CALLS = 100_000  # a call is mostly Python: processes meet in few of them


def draw(_: int, counter: Counter, flag: AtomicBool) -> None:
    for _call in range(CALLS):
        counter.next()
        counter += 2
    flag.set()


@pytest.mark.parametrize("run", [run_threads, run_processes])
def test_threads_and_processes_count_exactly(run, counter, flag):
    extra = {} if run is run_threads else {"start_method": "spawn"}
    run(2, draw, counter, flag, **extra)
    assert counter.value == 2 * CALLS * 3
    assert flag.is_set()


@pytest.mark.usefixtures("fresh_compiler")
def test_compiled_function_calls_them(counter, flag):
    @torch.compile(backend="aot_eager")
    def step(x: torch.Tensor) -> torch.Tensor:
        flag.set()
        return x + counter.next()

    assert [step(torch.zeros(1)).item() for _ in range(3)] == [0, 1, 2]
    assert flag.is_set()
