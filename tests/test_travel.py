"""How the classes reach other processes: shared, or not at all."""

from __future__ import annotations

import copy
import multiprocessing
import pickle

import pytest
import torch
import torch.multiprocessing as mp
from support import START_METHODS, TIMEOUT

from caffe2op_atomics import AtomicBool, Counter, Mutex

KINDS = [Counter, AtomicBool, Mutex]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, pickle.dumps])
def test_copy_and_pickle_raise_and_name_the_way(kind, way):
    with pytest.raises(TypeError, match=f"cannot pickle or copy {kind.__name__}.*torch.multipro"):
        way(kind())


def test_classes_inside_modules_do_not_copy_either():
    module = torch.nn.Linear(1, 1)
    module.steps = Counter()
    with pytest.raises(TypeError, match="cannot pickle or copy Counter"):
        copy.deepcopy(module)


def use(counter: Counter, flag: AtomicBool, mutex: Mutex) -> None:
    with mutex:
        counter += 1
    flag.set()


def use_received(queue) -> None:
    use(*queue.get(timeout=TIMEOUT))


def objects():
    return Counter(4), AtomicBool(), Mutex()


def join(process) -> None:
    process.join(TIMEOUT)
    assert process.exitcode == 0


@pytest.mark.parametrize("module", [mp, multiprocessing], ids=["torch", "standard"])
def test_arguments_arrive_shared(start_method, strategy, module):
    counter, flag, mutex = objects()
    process = module.get_context(start_method).Process(target=use, args=(counter, flag, mutex))
    process.start()
    join(process)
    assert counter.value == 5
    assert flag.is_set()
    assert mutex.acquire(timeout=5)


def test_queue_items_arrive_shared(start_method, strategy):
    context = mp.get_context(start_method)
    queue = context.Queue()
    process = context.Process(target=use_received, args=(queue,))
    process.start()
    counter, flag, mutex = objects()
    queue.put((counter, flag, mutex))
    join(process)
    assert counter.value == 5
    assert flag.is_set()
    assert mutex.acquire(timeout=5)


def pass_on(queue, method: str) -> None:
    items = queue.get(timeout=TIMEOUT)
    process = mp.get_context(method).Process(target=use, args=items)
    process.start()
    join(process)


@pytest.mark.parametrize("method", START_METHODS)
def test_receiver_can_send_on(method):
    context = mp.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=pass_on, args=(queue, method))
    process.start()
    counter, flag, mutex = objects()
    queue.put((counter, flag, mutex))
    join(process)
    assert counter.value == 5


class Steps(Counter):
    """A subclass of a user, with an attribute of its own."""

    def __init__(self, initial: int) -> None:
        super().__init__(initial)
        self.label = "steps"


def use_steps(steps: Steps, flag: AtomicBool, mutex: Mutex) -> None:
    assert steps.label == "steps"
    use(steps, flag, mutex)


def test_subclass_travels_as_itself():
    context = mp.get_context("spawn")
    steps = Steps(4)
    process = context.Process(target=use_steps, args=(steps, AtomicBool(), Mutex()))
    process.start()
    join(process)
    assert steps.value == 5


def lock_once(mutex: Mutex) -> None:
    assert mutex._on_owner_died == "recover"
    assert mutex.acquire(timeout=5)
    mutex.release()


def test_mutex_keeps_its_policy():
    process = mp.get_context("spawn").Process(target=lock_once, args=(Mutex("recover"),))
    process.start()
    join(process)


@pytest.mark.parametrize("kind", KINDS)
def test_other_sharing_strategy_is_refused(kind):
    shared = kind()
    other = ({"file_descriptor", "file_system"} - {mp.get_sharing_strategy()}).pop()
    before = mp.get_sharing_strategy()
    mp.set_sharing_strategy(other)
    try:
        with pytest.raises(RuntimeError, match=f"sharing strategy must be '{before}'"):
            multiprocessing.reduction.ForkingPickler.dumps(shared)
    finally:
        mp.set_sharing_strategy(before)


@pytest.mark.parametrize("kind", KINDS)
def test_moved_memory_is_refused(kind):
    shared = kind()
    shared._tensor.data = shared._tensor.clone()
    for look in (
        lambda: shared.tensor,
        lambda: multiprocessing.reduction.ForkingPickler.dumps(shared),
    ):
        with pytest.raises(RuntimeError, match="tensor must stay where it was made"):
            look()
