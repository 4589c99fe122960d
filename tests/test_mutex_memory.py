"""A mutex is its memory: copies are refused, moving or freeing it while it is held is harmless.

The sequences of address reuse: with duplicate mappings found by address alone, each of them locked
or unlocked the wrong mutex.
"""

from __future__ import annotations

import copy
import io
import mmap
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from support import TIMEOUT, run_threads
from torch import Tensor

ops = torch.ops.atomics
COPY = (
    "mutex must be the memory that create_mutex or mutex_init_ made, "
    "got a copy (clone, deepcopy, load and share_memory_ copy; make a new one with create_mutex)"
)
BYTES = 4096


def mapped(path: Path) -> Tensor:
    """Another mapping of the file, at an address of its own."""
    return torch.from_file(str(path), shared=True, size=BYTES, dtype=torch.uint8)


def new_mutex(path: Path) -> Tensor:
    mutex = mapped(path)
    ops.mutex_init_(mutex)
    return mutex


def mapped_at(path: Path, address: int) -> Tensor:
    """A mapping of the file at an address that was just freed."""
    others = []
    for _ in range(100):
        tensor = mapped(path)
        if tensor.data_ptr() == address:
            return tensor
        others.append(tensor)
    raise AssertionError("the address was not reused")


def hold(path: Path, ready, done) -> None:
    mutex = mapped(path)
    ops.mutex_lock(mutex)
    ready.set()
    done.wait(TIMEOUT)


@contextmanager
def held_elsewhere(path: Path) -> Iterator[mp.Process]:
    context = mp.get_context("fork")
    ready, done = context.Event(), context.Event()
    process = context.Process(target=hold, args=(path, ready, done))
    process.start()
    assert ready.wait(TIMEOUT)
    try:
        yield process
    finally:
        process.kill()
        process.join()


def kill(process: mp.Process) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.join()


@pytest.fixture
def x_path(tmp_path: Path) -> Path:
    return tmp_path / "x"


@pytest.fixture
def y_path(tmp_path: Path) -> Path:
    path = tmp_path / "y"
    new_mutex(path)
    return path


def test_mutex_at_a_reused_address_is_locked_itself(x_path, y_path):
    x = new_mutex(x_path)
    address = x.data_ptr()
    ops.mutex_lock(x)
    del x
    y = mapped_at(y_path, address)
    assert ops.mutex_lock(y, 0, 5) == 1
    ops.mutex_unlock(y)


def test_unlock_at_a_reused_address_does_not_unlock_the_old_mutex(x_path, y_path):
    x, alias = new_mutex(x_path), mapped(x_path)
    address = x.data_ptr()
    ops.mutex_lock(x)
    del x
    y = mapped_at(y_path, address)
    with pytest.raises(RuntimeError, match="got an unlocked one"):
        ops.mutex_unlock(y)
    assert ops.mutex_owner(alias) != 0
    ops.mutex_unlock(alias)
    assert ops.mutex_owner(alias) == 0


def test_mutex_at_the_address_of_one_held_elsewhere_is_free(x_path, y_path):
    x = new_mutex(x_path)
    address = x.data_ptr()
    with held_elsewhere(x_path):
        assert ops.mutex_try_lock(x) == 0  # makes the duplicate mapping
        del x
        y = mapped_at(y_path, address)
        assert ops.mutex_lock(y, 0, 5) == 1
        ops.mutex_unlock(y)


def test_mutex_at_the_address_of_an_orphan_does_not_swallow_the_death(x_path, y_path):
    x, alias = new_mutex(x_path), mapped(x_path)
    address = x.data_ptr()
    with held_elsewhere(x_path) as holder:
        assert ops.mutex_try_lock(x) == 0
        del x
        kill(holder)
        y = mapped_at(y_path, address)
        assert ops.mutex_lock(y, 0, 5) == 1
        ops.mutex_unlock(y)
    assert ops.mutex_lock(alias, 0, 5) == 2


@pytest.mark.parametrize("holder_dies", [False, True])
def test_byte_copy_at_the_old_address_is_refused_and_the_death_is_passed_on(
    x_path, tmp_path, holder_dies
):
    x, alias = new_mutex(x_path), mapped(x_path)
    address = x.data_ptr()
    forged = tmp_path / "copy"
    with held_elsewhere(x_path) as holder:
        assert ops.mutex_try_lock(x) == 0
        forged.write_bytes(bytes(x.untyped_storage()))
        del x
        if holder_dies:
            kill(holder)
        copied = mapped_at(forged, address)
        with pytest.raises(RuntimeError, match=r"^mutex_lock: mutex must be the memory that"):
            ops.mutex_lock(copied, 0, 5)
        if not holder_dies:
            assert ops.mutex_try_lock(alias) == 0
    # The holder is dead by now; whoever met that first, the next locker is told.
    assert ops.mutex_lock(alias, 0, 5) == 2
    ops.mutex_consistent(alias)
    ops.mutex_unlock(alias)
    assert ops.mutex_lock(alias, 0, 5) == 1


def test_byte_copy_made_while_held_here_is_refused_at_the_old_address(x_path, tmp_path):
    x, alias = new_mutex(x_path), mapped(x_path)
    address = x.data_ptr()
    forged = tmp_path / "copy"
    ops.mutex_lock(x)
    forged.write_bytes(bytes(x.untyped_storage()))  # its lock word names this thread
    ops.mutex_unlock(x)
    del x
    copied = mapped_at(forged, address)
    with pytest.raises(RuntimeError, match=r"^mutex_lock: mutex must be the memory that"):
        ops.mutex_lock(copied, 0, 5)
    assert ops.mutex_owner(alias) == 0


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


def test_raw_mutex_cannot_be_sent(strategy):
    mutex = ops.create_mutex()
    if strategy == "file_descriptor":
        with pytest.raises(OSError, match="Bad file descriptor"):
            ForkingPickler.dumps(mutex)
    else:
        ForkingPickler.dumps(mutex)  # torch moves the memory
        with pytest.raises(RuntimeError, match=r"^mutex_lock: mutex must be the memory"):
            ops.mutex_lock(mutex)


REMOVALS = {
    "freed": lambda tensors: tensors.clear(),
    "resized": lambda tensors: tensors[0].untyped_storage().resize_(0),
    "replaced": lambda tensors: setattr(tensors[0], "data", torch.zeros(1, dtype=torch.uint8)),
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


@pytest.mark.parametrize("removal", ["resized", "replaced"])
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
