"""Handles: what they name and for how long, and what ops on them do."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
import torch.multiprocessing as mp
from support import TIMEOUT, run_processes, run_threads
from torch import Tensor

from caffe2op_atomics import AtomicBool, Counter, GuardedTensor, Mutex, ops

atomics = torch.ops.atomics

UNKNOWN = "handle must name a tensor that is registered in this process"
ONES = torch.ones(3)


def test_ops_do_what_their_forms_on_tensors_do():
    target = torch.zeros(3)
    handle = ops.handle(target)
    assert (handle.dtype, handle.shape) == (torch.int64, ())
    ops.handle_add_(handle, ONES, alpha=2)
    assert ops.handle_fetch_add(handle, ONES).tolist() == [2, 2, 2]
    assert ops.handle_load(handle, [3], torch.float32).tolist() == [3, 3, 3]
    ops.handle_store_(handle, torch.tensor(7.0))
    ops.handle_after(handle, target, ONES)
    assert target.tolist() == [7, 7, 7]
    guarded = ops.handle(target, mutex=atomics.create_mutex(2), first=1)
    ops.handle_guarded_add_(guarded, ONES, alpha=-1)
    assert target.tolist() == [6, 6, 6]


def test_view_is_changed_in_place():
    table = torch.zeros(4, 3)
    handle = ops.handle(table[1:, 0])
    ops.handle_add_(handle, ONES)
    assert table.tolist() == [[0, 0, 0]] + [[1, 0, 0]] * 3


def test_tensor_lives_until_the_release():
    numpy = pytest.importorskip("numpy")
    memory = numpy.zeros(3, numpy.float32)
    alive = weakref.ref(memory)
    handle = ops.handle(torch.from_numpy(memory))
    del memory
    gc.collect()
    ops.handle_add_(handle, ONES)
    assert ops.handle_load(handle, [3], torch.float32).tolist() == [1, 1, 1]
    ops.handle_release(handle)
    gc.collect()
    assert alive() is None
    with pytest.raises(RuntimeError, match=f"^handle_add_: {UNKNOWN}"):
        ops.handle_add_(handle, ONES)
    with pytest.raises(RuntimeError, match=f"^handle_release: {UNKNOWN}"):
        ops.handle_release(handle)


def test_slots_are_used_again_and_numbers_are_not():
    seen = set()
    for _ in range(10_000):
        handle = ops.handle(ONES)
        seen.add(handle.item())
        ops.handle_release(handle)
    assert len(seen) == 10_000
    assert len({number % 2**20 for number in seen}) < 10


@pytest.mark.parametrize("make", [Counter, AtomicBool, lambda: GuardedTensor([3])])
def test_handle_of_an_object_lives_as_it_does(make):
    made = make()
    handle = made.handle
    assert handle is made.handle
    ops.handle_after(handle)
    del made
    gc.collect()
    with pytest.raises(RuntimeError, match=f"^handle_after: {UNKNOWN}"):
        ops.handle_after(handle)


def test_mutex_has_none():
    with pytest.raises(RuntimeError, match=r"^Mutex: it has no handle"):
        _ = Mutex().handle


def test_operand_that_shares_memory_is_copied_first():
    """As if the caller had, whose copy a compiler may have left out."""
    target = torch.arange(5.0)
    handle = ops.handle(target[1:])
    ops.handle_add_(handle, target[:4])
    assert target.tolist() == [0, 1, 3, 5, 7]
    assert ops.handle_fetch_add(handle, target[1:]).tolist() == [1, 3, 5, 7]
    ops.handle_store_(handle, target[:4])
    assert target.tolist() == [0, 0, 2, 6, 10]
    bank = atomics.create_mutex()
    ops.handle_guarded_add_(ops.handle(target[1:], mutex=bank), target[:4], alpha=-1)
    assert target.tolist() == [0, 0, 2, 4, 4]


def test_list_adds_what_was_there_before():
    bank = atomics.create_mutex()
    memory = torch.tensor([1.0, 2, 4, 8])
    handles = [ops.handle(memory[k], mutex=bank) for k in range(4)]
    ops.handle_guarded_add_(handles, [memory[3], memory[0], memory[1], memory[2]])
    assert memory.tolist() == [9, 3, 6, 12]


def test_forked_child_has_the_handles_of_its_parent():
    target = torch.zeros(3).share_memory_()
    handle = ops.handle(target)
    process = mp.get_context("fork").Process(target=ops.handle_add_, args=(handle, ONES))
    process.start()
    process.join(TIMEOUT)
    assert process.exitcode == 0
    assert target.tolist() == [1, 1, 1]
    ops.handle_add_(handle, ONES)
    assert target.tolist() == [2, 2, 2]


def add_large(_: int, target: Tensor, n: int) -> None:
    handle, one = ops.handle(target), torch.ones_like(target)
    for _call in range(n):
        ops.handle_add_(handle, one)


@pytest.mark.parametrize("run", [run_threads, run_processes])
def test_sums_by_handles_are_exact(run):
    n = 300
    target = torch.zeros(20_000).share_memory_()
    run(3, add_large, target, n)
    assert target.eq(3 * n).all()


def test_release_waits_for_who_uses_it():
    """Threads add by handles that another releases: each call is done as a whole or refused."""
    target = torch.zeros(5000)
    current = [ops.handle(target)]

    def work(rank: int) -> int:
        done = 0
        for _call in range(4000):
            if rank == 0:
                old, current[0] = current[0], ops.handle(target)
                ops.handle_release(old)
            else:
                try:
                    ops.handle_add_(current[0], torch.ones(5000))
                    done += 1
                except RuntimeError as error:
                    assert UNKNOWN in str(error)  # noqa: PT017
        return done

    done = sum(run_threads(3, work))
    assert done > 0
    assert target.eq(done).all()


def test_object_that_ends_in_a_trace_is_released():
    counter = Counter()
    handle = counter.handle
    with torch._subclasses.fake_tensor.FakeTensorMode():
        del counter
        gc.collect()
    with pytest.raises(RuntimeError, match=f"^handle_after: {UNKNOWN}"):
        ops.handle_after(handle)


@pytest.mark.filterwarnings("ignore:.torch.jit")
def test_script_works_by_handle():
    def step(handle: Tensor, x: Tensor) -> Tensor:
        torch.ops.atomics.handle_add_(handle, x)
        return torch.ops.atomics.handle_fetch_add(handle, x)

    target = torch.zeros(3)
    scripted = torch.jit.script(step)
    assert scripted(ops.handle(target), ONES).tolist() == [1, 1, 1]
    assert target.tolist() == [2, 2, 2]


@pytest.mark.filterwarnings("ignore:.torch.jit")
@pytest.mark.parametrize(
    "optimize", [lambda m: m, torch.jit.freeze, torch.jit.optimize_for_inference]
)
def test_script_keeps_a_list_that_it_makes(optimize):
    class Step(torch.nn.Module):
        def __init__(self, *targets: Tensor) -> None:
            super().__init__()
            bank = atomics.create_mutex()
            self.first, self.second = (ops.handle(target, mutex=bank) for target in targets)

        def forward(self, x: Tensor) -> Tensor:
            torch.ops.atomics.handle_guarded_add_(self.first, [self.second], [x, x * 2])
            return x + 1

    targets = torch.zeros(3), torch.zeros(3)
    optimize(torch.jit.script(Step(*targets).eval()))(ONES)
    assert [target.tolist() for target in targets] == [[1, 1, 1], [2, 2, 2]]
