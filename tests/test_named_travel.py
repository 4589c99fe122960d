"""A named object that is sent is the same object where it arrives, or an error: never another."""

from __future__ import annotations

import multiprocessing
import pickle
from multiprocessing.reduction import ForkingPickler

import pytest
import torch
import torch.multiprocessing as mp
from named_files import path_of
from support import TIMEOUT

from caffe2op_atomics import AtomicBool, Counter, Mutex

KINDS = [Counter, AtomicBool, Mutex]


def use(counter: Counter, flag: AtomicBool, mutex: Mutex, name: str) -> None:
    assert [each.name for each in (counter, flag, mutex)] == [
        name + end for end in [".c", ".f", ".m"]
    ]
    with mutex:
        counter += 1
    flag.set()


def use_received(queue) -> None:
    use(*queue.get(timeout=TIMEOUT))


def objects(name: str) -> tuple[Counter, AtomicBool, Mutex]:
    return Counter(4, name=name + ".c"), AtomicBool(name=name + ".f"), Mutex(name=name + ".m")


def check_used(counter: Counter, flag: AtomicBool, mutex: Mutex, process) -> None:
    process.join(TIMEOUT)
    assert process.exitcode == 0
    assert counter.value == 5
    assert flag.is_set()
    assert mutex.acquire(timeout=5)
    mutex.release()


@pytest.mark.parametrize("module", [mp, multiprocessing], ids=["torch", "standard"])
def test_arguments_arrive_shared(name, start_method, strategy, module):
    shared = objects(name)
    process = module.get_context(start_method).Process(target=use, args=(*shared, name))
    process.start()
    check_used(*shared, process)


def test_queue_items_arrive_shared(name, start_method, strategy):
    context = mp.get_context(start_method)
    queue = context.Queue()
    process = context.Process(target=use_received, args=(queue,))
    process.start()
    shared = objects(name)
    queue.put((*shared, name))
    check_used(*shared, process)


def change_strategy_and_use(queue) -> None:
    torch.multiprocessing.set_sharing_strategy("file_system")
    use_received(queue)


def test_sharing_strategy_does_not_matter(name):
    context = mp.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=change_strategy_and_use, args=(queue,))
    process.start()
    shared = objects(name)
    queue.put((*shared, name))
    check_used(*shared, process)


class Steps(Counter):
    """A subclass of a user."""

    def __init__(self, label: str, name: str) -> None:
        super().__init__(4, name=name)
        self.label = label


def sent(shared):
    return pickle.loads(ForkingPickler.dumps(shared))


def test_subclass_and_policy_travel(name):
    steps = sent(Steps("steps", name))
    assert (type(steps), steps.label, steps.name, steps.value) == (Steps, "steps", name, 4)
    assert sent(Mutex("recover", name=name + ".m"))._on_owner_died == "recover"


@pytest.mark.parametrize("kind", KINDS)
def test_received_object_is_not_a_copy(name, kind):
    shared = kind(name=name)
    received = sent(shared)
    change = {Counter: Counter.next, AtomicBool: AtomicBool.set, Mutex: Mutex.acquire}[kind]
    change(shared)
    if kind is Mutex:
        assert received.owner() == shared.owner()
        assert shared.locked()
        received.release()
    else:
        assert torch.equal(received.tensor, shared.tensor)
        assert received.tensor.item() == 1
    assert received.unlink()


GONE = (
    r"^{}: name '{}' must mean the object that is sent, got a name that was unlinked, made again, "
    r"or is in another container: unlink it after it has arrived$"
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("again", [False, True], ids=["unlinked", "made again"])
def test_unlinked_object_is_not_sent(name, kind, again):
    shared = kind(name=name)
    shared.unlink()
    other = kind(name=name) if again else None
    with pytest.raises(RuntimeError, match=GONE.format(kind.__name__, name)):
        ForkingPickler.dumps(shared)
    assert (other is not None) == path_of(name).exists()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("again", [False, True], ids=["unlinked", "made again"])
def test_object_unlinked_on_its_way_does_not_arrive(name, kind, again):
    shared = kind(name=name)
    message = ForkingPickler.dumps(shared)
    shared.unlink()
    other = kind(name=name) if again else None
    with pytest.raises(RuntimeError, match=GONE.format(kind.__name__, name)):
        pickle.loads(message)
    assert (other is not None) == path_of(name).exists()


@pytest.mark.parametrize("kind", KINDS)
def test_plain_pickle_is_refused(name, kind):
    with pytest.raises(TypeError, match=f"cannot pickle or copy {kind.__name__}"):
        pickle.dumps(kind(name=name))


def test_tensor_that_is_sent_alone_is_refused_or_its_move_noticed(name, strategy):
    """torch cannot send memory of a file: it raises, or moves it."""
    counter = Counter(name=name)
    if strategy == "file_descriptor":
        with pytest.raises(OSError, match="Bad file descriptor"):
            ForkingPickler.dumps(counter.tensor)
        assert counter.next() == 0
        assert Counter(name=name).value == 1
    else:
        ForkingPickler.dumps(counter.tensor)
        with pytest.raises(RuntimeError, match="tensor must stay where it was made"):
            _ = counter.tensor


def test_forked_child_of_an_unlinked_object_shares_it(name):
    counter = Counter(name=name)
    counter.unlink()
    process = mp.get_context("fork").Process(target=counter.next)
    process.start()
    process.join(TIMEOUT)
    assert counter.value == 1
