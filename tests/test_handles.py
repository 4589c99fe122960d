"""Handles: what they name, for how long, and what ops on them refuse."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import pytest
import torch
import torch.multiprocessing as mp
from op_table import orphaned_mutex
from support import TIMEOUT, run_processes, run_threads
from torch import Tensor

from caffe2op_atomics import AtomicBool, Counter, GuardedTensor, Mutex, ops

atomics = torch.ops.atomics

UNKNOWN = "handle must name a tensor that is registered in this process"
ONES = torch.ones(3)


def refused(handle: Tensor, rule: str, op: Callable[..., object] = ops.handle_add_) -> None:
    with pytest.raises(RuntimeError, match=f"^{op.__name__}: {rule}"):
        op(handle, ONES)


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
    refused(handle, UNKNOWN)
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


@pytest.mark.parametrize("number", [0, 1, -1, 2**62, -(2**63)])
def test_number_that_names_nothing_is_refused(number):
    refused(torch.tensor(number), UNKNOWN)


def test_what_is_no_handle_is_refused():
    refused(torch.zeros(3), "handle must have dtype int64, got float32")
    refused(torch.zeros(3).long(), r"handle must have one element, got shape \[3\]")


def test_what_does_not_fit_is_refused():
    handle = ops.handle(torch.zeros(2))
    with pytest.raises(
        RuntimeError, match=r"^handle_add_: other must broadcast to target's shape \[2\]"
    ):
        ops.handle_add_(handle, ONES)
    with pytest.raises(RuntimeError, match=r"^handle_add_: other must have dtype float32 like"):
        ops.handle_add_(handle, torch.ones(2).long())
    for other in (torch.ones(()), torch.ones(1, 2)):
        with pytest.raises(RuntimeError, match=r"^handle_fetch_add: other must have shape \[2\]"):
            ops.handle_fetch_add(handle, other)
    with pytest.raises(RuntimeError, match=r"^handle_load: size must be target's shape, \[2\]"):
        ops.handle_load(handle, [1], torch.float32)
    with pytest.raises(RuntimeError, match=r"^handle_load: dtype must be target's, float32, got"):
        ops.handle_load(handle, [2], torch.float64)
    assert ops.handle_load(handle, [2], torch.float32).tolist() == [0, 0]


def test_list_is_refused_before_anything_is_changed():
    bank = atomics.create_mutex()
    targets = [torch.zeros(2), torch.zeros(3)]
    first, second = (ops.handle(target, mutex=bank) for target in targets)
    two = torch.ones(2)
    for handles, others, error, text in [
        ([first, second], [two], RuntimeError, "other must have 2 elements like handle, got 1"),
        ([first, second], [two, two], RuntimeError, r"others\[1\] must broadcast to target's"),
        ([first, second], [two, ONES.long()], RuntimeError, r"others\[1\] must have dtype"),
        (
            [first, second],
            [two, ONES.to("meta")],
            RuntimeError,
            "others must be on cpu like handle",
        ),
        ([first, ops.handle(ONES)], [two, ONES], RuntimeError, "handle must be of a guarded"),
        ([first, torch.tensor(1)], [two, ONES], RuntimeError, UNKNOWN),
        ([first, second], [two, 1.0], TypeError, r"other\[1\] must be a Tensor, got float"),
        ([first, 1], [two, ONES], TypeError, r"handle\[1\] must be a Tensor, got int"),
        ([first], torch.ones(1, 2), TypeError, "other must be a sequence, got Tensor"),
        (None, [two], TypeError, "handle must be a sequence, got NoneType"),
        ([first] * 65537, [two] * 65537, RuntimeError, "others must have at most 65536 elements"),
    ]:
        with pytest.raises(error, match=f"^handle_guarded_add_: {text}"):
            ops.handle_guarded_add_(handles, others)
    assert [target.sum().item() for target in targets] == [0, 0]
    ops.handle_guarded_add_([], [])


def test_list_is_refused_if_a_mutex_is_lost():
    """Of the last stripe of a later target: the first one stays as it is."""
    lost = orphaned_mutex(2)
    atomics.mutex_unlock(lost, 1)
    targets = [torch.zeros(3), torch.zeros(5000)]
    handles = [ops.handle(target, mutex=lost) for target in targets]
    rule = "mutex must not be lost, got mutex 1, one"
    with pytest.raises(RuntimeError, match=f"^handle_guarded_add_: {rule}"):
        ops.handle_guarded_add_(handles, [ONES, torch.ones(5000)])
    assert [target.sum().item() for target in targets] == [0, 0]
    ops.handle_guarded_add_(handles[:1], [ONES])
    assert targets[0].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "op", [ops.handle_store_, ops.handle_add_, ops.handle_fetch_add, ops.handle_guarded_add_]
)
def test_meta_operand_does_not_make_a_call_do_nothing(op):
    target = torch.zeros(3)
    bank = atomics.create_mutex() if op is ops.handle_guarded_add_ else None
    with pytest.raises(RuntimeError, match=f"^{op.__name__}: other must be on cpu like handle, go"):
        op(ops.handle(target, mutex=bank), ONES.to("meta"))
    assert target.tolist() == [0, 0, 0]


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


def test_handle_is_for_locks_or_for_none():
    target, bank = torch.zeros(3), atomics.create_mutex()
    refused(
        ops.handle(target),
        "handle must be of a guarded tensor, got one of a tensor without a mutex",
        ops.handle_guarded_add_,
    )
    handle = ops.handle(target, mutex=bank)
    rule = "handle must be of a tensor without a mutex, got one of a guarded tensor"
    for op in (ops.handle_add_, ops.handle_store_, ops.handle_fetch_add):
        refused(handle, rule, op)
    with pytest.raises(RuntimeError, match=f"^handle_load: {rule}"):
        ops.handle_load(handle, [3], torch.float32)
    with pytest.raises(
        TypeError, match=r"^handle: first must be given with a mutex, got 1 without"
    ):
        ops.handle(target, first=1)
    assert target.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "move",
    [
        lambda tensor: tensor.share_memory_(),
        lambda tensor: tensor.set_(torch.zeros(3)),
        lambda tensor: setattr(tensor, "data", torch.zeros(3)),
        lambda tensor: tensor.resize_(2**20),
    ],
)
def test_tensor_that_moved_is_refused(move):
    target = torch.zeros(3)
    handle = ops.handle(target)
    move(target)
    refused(handle, "handle must name a tensor that stays where it was registered, got one that")
    ops.handle_release(handle)


def test_storage_that_shrank_is_refused():
    target = torch.zeros(3).share_memory_()
    handle = ops.handle(target)
    target.untyped_storage().resize_(0)
    with pytest.raises(RuntimeError):
        ops.handle_add_(handle, ONES)


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


def use_sent(handle: Tensor, queue) -> None:
    ops.handle(torch.zeros(3))  # slots are taken here, too
    try:
        ops.handle_add_(handle, ONES)
    except RuntimeError as error:
        queue.put(str(error).splitlines()[0])


def test_handle_that_was_sent_is_refused():
    context = mp.get_context("spawn")
    queue = context.SimpleQueue()
    process = context.Process(target=use_sent, args=(ops.handle(torch.zeros(3)), queue))
    process.start()
    assert queue.get().startswith(f"handle_add_: {UNKNOWN}")
    process.join(TIMEOUT)


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
