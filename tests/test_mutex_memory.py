"""A mutex is its memory: copies are refused, moving or freeing it while it is held is harmless."""

from __future__ import annotations

import copy
import io
import mmap
import time
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from mutex_files import BYTES, kill, mapped, new_mutex
from support import TIMEOUT, run_threads
from torch import Tensor

ops = torch.ops.atomics
COPY = (
    "mutex must be the memory that create_mutex or mutex_init_ made, "
    "got a copy (clone, deepcopy, load and share_memory_ copy; make a new one with create_mutex)"
)


def saved_and_loaded(mutex: Tensor) -> Tensor:
    file = io.BytesIO()
    torch.save(mutex, file)
    file.seek(0)
    return torch.load(file)


class Holder(torch.nn.Module):
    def __init__(self, mutex: Tensor) -> None:
        super().__init__()
        self.register_buffer("mutex", mutex)

    def forward(self) -> Tensor:
        return self.mutex


def scripted_and_loaded(mutex: Tensor) -> Tensor:
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(Holder(mutex)), file)
    file.seek(0)
    return torch.jit.load(file).mutex


COPIES = {
    "clone": torch.clone,
    "deepcopy": copy.deepcopy,
    "torch.save": saved_and_loaded,
    "torch.jit.save": scripted_and_loaded,
    "shared clone": lambda mutex: mutex.clone().share_memory_(),
    "overwritten": lambda mutex: ops.create_mutex().copy_(mutex),
}


@pytest.mark.parametrize("locked", [False, True])
@pytest.mark.parametrize("kind", COPIES)
def test_copy_is_refused(kind, locked):
    mutex = ops.create_mutex()
    if locked:
        ops.mutex_lock(mutex)
    copied = COPIES[kind](mutex)
    for op in ("mutex_lock", "mutex_try_lock", "mutex_owner"):
        with pytest.raises(RuntimeError) as caught:
            getattr(ops, op)(copied)
        assert str(caught.value).splitlines()[0] == f"{op}: {COPY}"
    with pytest.raises(RuntimeError, match=r"^mutex_unlock: mutex must be the memory"):
        ops.mutex_unlock(copied)
    if locked:
        ops.mutex_unlock(mutex)


def test_clone_of_a_held_mutex_whose_memory_is_gone_is_refused():
    """The clone holds pointers to what glibc linked into the list of the thread's mutexes."""
    first, second = ops.create_mutex(), ops.create_mutex()
    ops.mutex_lock(first)
    ops.mutex_lock(second)
    clones = [first.clone(), second.clone().share_memory_()]
    del first, second
    for clone in clones:
        with pytest.raises(RuntimeError, match=r"^mutex_unlock: mutex must be the memory"):
            ops.mutex_unlock(clone)
    other = ops.create_mutex()
    assert ops.mutex_lock(other) == 1
    ops.mutex_unlock(other)


def test_raw_mutex_cannot_be_sent(strategy):
    mutex = ops.create_mutex()
    if strategy == "file_descriptor":
        with pytest.raises(OSError, match="Bad file descriptor"):
            ForkingPickler.dumps(mutex)
    else:
        ForkingPickler.dumps(mutex)  # torch moves the memory
        with pytest.raises(RuntimeError, match=r"^mutex_lock: mutex must be the memory"):
            ops.mutex_lock(mutex)


def test_sharing_again_while_held_moves_nothing(strategy):
    mutex = torch.zeros(1, 128, dtype=torch.uint8).share_memory_()
    ops.mutex_init_(mutex)
    ops.mutex_lock(mutex)
    mutex.share_memory_()
    ops.mutex_unlock(mutex)
    assert ops.mutex_lock(mutex) == 1


def test_mutex_that_was_moved_while_held_is_refused(strategy):
    mutex, other = torch.zeros(1, 128, dtype=torch.uint8).share_memory_(), ops.create_mutex()
    ops.mutex_init_(mutex)
    ops.mutex_lock(mutex)
    mp.set_sharing_strategy(({"file_descriptor", "file_system"} - {strategy}).pop())
    mutex.share_memory_()
    with pytest.raises(RuntimeError, match=r"^mutex_unlock: mutex must be the memory that"):
        ops.mutex_unlock(mutex)
    assert ops.mutex_lock(other) == 1
    ops.mutex_unlock(other)


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("byte", [0, 255])
def test_overwritten_mutex_is_refused_and_harms_no_other(byte, held):
    """Also when the thread ends, and with it all that glibc links."""

    def overwrite(_: int) -> None:
        mutex, other = ops.create_mutex(), ops.create_mutex()
        if held:
            ops.mutex_lock(mutex)
        ops.mutex_lock(other)
        mutex.fill_(byte)
        for op in ("mutex_lock", "mutex_try_lock", "mutex_owner", "mutex_unlock"):
            with pytest.raises(RuntimeError, match=f"^{op}: mutex must be made by create_mutex"):
                getattr(ops, op)(mutex)
        ops.mutex_unlock(other)
        assert ops.mutex_lock(other) == 1

    run_threads(1, overwrite)


REMOVALS = {
    "freed": lambda tensors: tensors.clear(),
    "resized": lambda tensors: tensors[0].untyped_storage().resize_(0),
    "replaced": lambda tensors: setattr(tensors[0], "data", torch.zeros(1, dtype=torch.uint8)),
    "set": lambda tensors: tensors[0].set_(torch.zeros(1, dtype=torch.uint8)),
}


@pytest.mark.parametrize("removal", REMOVALS)
def test_memory_may_go_while_the_mutex_is_held(removal):
    tensors = [torch.zeros(1, 128, dtype=torch.uint8).share_memory_()]
    ops.mutex_init_(tensors[0])
    ops.mutex_lock(tensors[0])
    REMOVALS[removal](tensors)
    # glibc links the held mutexes of a thread: locking another one follows the link.
    other = ops.create_mutex()
    assert ops.mutex_lock(other) == 1
    ops.mutex_unlock(other)


@pytest.mark.parametrize("removal", ["resized", "replaced", "set"])
def test_memory_may_go_while_another_thread_waits(removal):
    tensors = [torch.zeros(1, 128, dtype=torch.uint8).share_memory_()]
    ops.mutex_init_(tensors[0])
    ops.mutex_lock(tensors[0])

    def wait(rank: int) -> str | None:
        if rank == 0:
            time.sleep(0.2)
            REMOVALS[removal](tensors)
            return None
        try:
            return str(ops.mutex_lock(tensors[0], 0, 5))
        except RuntimeError as error:
            return str(error).splitlines()[0]

    answer = run_threads(2, wait)[1]
    assert answer == (
        "mutex_lock: mutex must keep its memory while it is waited for, got one that was unmapped"
    )


def die_after_removal(path: Path, removal: str, ready) -> None:
    tensors = [mapped(path)]
    ops.mutex_lock(tensors[0])
    if removal != "resized":  # a file's storage cannot be
        REMOVALS[removal](tensors)
    ready.set()
    time.sleep(TIMEOUT)


@pytest.mark.parametrize("removal", REMOVALS)
def test_death_is_seen_although_the_memory_went(removal, x_path):
    mutex = new_mutex(x_path)
    context = mp.get_context("fork")
    ready = context.Event()
    process = context.Process(target=die_after_removal, args=(x_path, removal, ready))
    process.start()
    assert ready.wait(TIMEOUT)
    assert ops.mutex_lock(mutex, 0, 0.1) == 0
    kill(process)
    assert ops.mutex_lock(mutex, 0, 5) == 2


def test_aliases_of_the_same_memory_are_the_same_mutex(x_path):
    mutex, alias = new_mutex(x_path), mapped(x_path)
    assert ops.mutex_lock(mutex) == 1
    assert ops.mutex_try_lock(alias) == 0
    ops.mutex_unlock(alias)
    assert ops.mutex_owner(mutex) == 0


@pytest.mark.filterwarnings("ignore:The given buffer is not writable")
def test_write_protected_mapping_is_refused(x_path):
    new_mutex(x_path)
    with x_path.open("rb") as file:
        memory = mmap.mmap(file.fileno(), BYTES, mmap.MAP_SHARED, mmap.PROT_READ)
    mutex = torch.frombuffer(memory, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="must be writable, got a read-only mapping"):
        ops.mutex_lock(mutex)
