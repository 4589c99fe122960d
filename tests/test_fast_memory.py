"""The memory of the fast path: for the life of an object, in forked children too, and no longer."""

from __future__ import annotations

import mmap
import threading
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from support import ONLY_FAST, run_processes, run_threads

from caffe2op_atomics import AtomicBool, Counter, Mutex
from caffe2op_atomics._cells import WHY_SLOW


def resize(tensor: torch.Tensor) -> None:
    tensor.untyped_storage().resize_(0)


def move(tensor: torch.Tensor) -> None:
    other = ({"file_descriptor", "file_system"} - {mp.get_sharing_strategy()}).pop()
    before = mp.get_sharing_strategy()
    mp.set_sharing_strategy(other)
    try:
        ForkingPickler.dumps(tensor)
    finally:
        mp.set_sharing_strategy(before)


def replace(tensor: torch.Tensor) -> None:
    tensor.data = torch.zeros_like(tensor)


@pytest.mark.parametrize("change", [resize, move, replace])
def test_whatever_torch_does_to_the_tensor_no_use_touches_other_memory(change):
    counter, flag, mutex = Counter(3), AtomicBool(), Mutex()
    flag.set()
    for shared in (counter, flag, mutex):
        change(shared._tensor)
        with pytest.raises(RuntimeError, match="tensor must stay where it was made"):
            _ = shared.tensor
        with pytest.raises(RuntimeError, match="tensor must stay where it was made"):
            ForkingPickler.dumps(shared)
    uses = [
        (counter.next, 3),
        (lambda: counter.fetch_add(1), 4),
        (lambda: counter.__iadd__(1), counter),
        (lambda: counter.value, 6),
        (flag.is_set, True),
        (flag.clear, None),
        (flag.wait, None),
        (mutex.acquire, True),
        (mutex.locked, True),
        (mutex.release, None),
    ]
    for use, result in uses:
        if WHY_SLOW is None and use != flag.wait:
            assert use() == result
        elif WHY_SLOW is not None:
            with pytest.raises(RuntimeError, match=r"tensor must|mutex must"):
                use()


def add_in_child(_: int, counter: Counter, flag: AtomicBool, mutex: Mutex) -> None:
    with mutex:
        counter += 1
    flag.set()
    del counter, flag, mutex


def test_forked_child_uses_and_frees_its_own_mapping():
    objects = counter, flag, mutex = Counter(), AtomicBool(), Mutex()
    for _ in range(3):
        run_processes(2, add_in_child, *objects)
    with mutex:
        assert (counter.value, flag.is_set()) == (6, True)


def use_after_many_others(_: int, mutex: Mutex) -> None:
    """Mutexes that are idle are unmapped when there are many, but not those of an object."""
    with mutex:
        pass
    for _ in range(300):
        other = torch.ops.atomics.create_mutex()
        torch.ops.atomics.mutex_lock(other)
        torch.ops.atomics.mutex_unlock(other)
    with mutex:
        assert mutex.locked()


@pytest.mark.parametrize("run", [run_threads, run_processes])
def test_mutex_stays_mapped_while_its_object_lives(run):
    run(1, use_after_many_others, Mutex())


def open_things() -> tuple[int, int]:
    maps = len(Path("/proc/self/maps").read_text().splitlines())
    return maps, len(list(Path("/proc/self/fd").iterdir()))


def make_and_use(i: int) -> None:
    Counter().next()
    AtomicBool().set()
    if i % 8 == 0:  # they take longer
        with Mutex():
            pass


def test_objects_that_are_gone_leave_neither_mappings_nor_descriptors():
    for i in range(200):
        make_and_use(i)
    maps, descriptors = open_things()
    for i in range(5000):
        make_and_use(i)
    after = open_things()
    assert after[0] - maps < 40  # of mutexes, some idle ones are kept
    assert after[1] - descriptors < 3


def test_mutex_object_may_go_while_it_is_held():
    mutex = Mutex()
    mutex.acquire()
    memory = mutex.tensor
    del mutex
    again = Mutex(tensor=memory)
    assert again.owner() == threading.get_native_id()
    again.release()
    assert not again.locked()


@ONLY_FAST
@pytest.mark.parametrize("kind", [Counter, AtomicBool, Mutex])
def test_object_without_memory_says_so(kind):
    empty = kind.__new__(kind)
    for name in ("next", "fetch_add", "fetch_sub", "wait_until", "set", "clear", "is_set", "wait"):
        if hasattr(kind, name):
            arguments = [1] if name in ("fetch_add", "fetch_sub", "wait_until") else []
            with pytest.raises(RuntimeError, match="was not initialised"):
                getattr(empty, name)(*arguments)
    if kind is Mutex:
        for name in ("acquire", "release", "consistent", "locked", "owner", "__enter__"):
            with pytest.raises(RuntimeError, match="was not initialised"):
                getattr(empty, name)()


@ONLY_FAST
@pytest.mark.parametrize(
    ("flags", "protection", "rule"),
    [
        (mmap.MAP_SHARED, mmap.PROT_READ, "be writable, got a read-only mapping"),
        (
            mmap.MAP_PRIVATE,
            mmap.PROT_READ | mmap.PROT_WRITE,
            r"be shared \(share_memory_\(\) first\), got private memory",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:The given buffer is not writable")
def test_memory_that_cannot_be_shared_is_not_bound(flags, protection, rule):
    memory = torch.frombuffer(mmap.mmap(-1, 4096, flags, protection), dtype=torch.int64)
    with pytest.raises(RuntimeError, match=f"^Counter: tensor must {rule}$"):
        Counter.__new__(Counter)._bind(memory.data_ptr(), 8)


@ONLY_FAST
@pytest.mark.parametrize("kind", [Counter, AtomicBool, Mutex])
def test_object_is_bound_once(kind):
    shared = kind()
    with pytest.raises(RuntimeError, match="is bound to its memory once"):
        shared._bind(shared._address, shared._tensor.nbytes)
