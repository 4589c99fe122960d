"""Mutex behaves as threading.Lock does, where threading.Lock does well."""

from __future__ import annotations

import ctypes
import os
import resource
import threading
import time
from pathlib import Path

import pytest
import torch
from support import interrupted_after, run_processes, run_threads
from torch import Tensor

from caffe2op_atomics import Mutex

ops = torch.ops.atomics


def test_acquire_and_release():
    mutex = Mutex()
    assert not mutex.locked()
    assert mutex.acquire() is True
    assert mutex.locked()
    assert mutex.owner() == threading.get_native_id()
    mutex.release()
    assert not mutex.locked()
    assert mutex.owner() is None


def test_context_manager_releases_on_error():
    mutex = Mutex()
    with mutex as entered:
        assert entered is mutex
        assert mutex.locked()
    with pytest.raises(ZeroDivisionError), mutex:
        1 / 0  # noqa: B018
    assert not mutex.locked()


def test_release_of_an_unlocked_mutex_raises():
    with pytest.raises(
        RuntimeError,
        match=r"^release: mutex must be held by the calling thread, got an unlocked one",
    ):
        Mutex().release()


def test_second_acquire_by_the_same_thread_raises_instead_of_hanging():
    mutex = Mutex()
    with mutex:
        with pytest.raises(
            RuntimeError, match=r"^acquire: mutex must not be held by the calling thread"
        ):
            mutex.acquire()
        assert mutex.acquire(blocking=False) is False
    assert not mutex.locked()


def in_thread(work):
    return run_threads(1, lambda _: work())[0]


def test_held_mutex_is_not_acquired_by_others_until_released():
    mutex = Mutex()
    with mutex:
        assert in_thread(lambda: mutex.acquire(blocking=False)) is False
        start = time.monotonic()
        assert in_thread(lambda: mutex.acquire(timeout=0.2)) is False
        assert time.monotonic() - start >= 0.2
        assert in_thread(lambda: mutex.acquire(timeout=0)) is False
    assert in_thread(lambda: mutex.acquire(timeout=0) and mutex.release() is None)


def test_release_by_another_thread_raises():
    mutex = Mutex()
    with mutex:
        with pytest.raises(RuntimeError, match=f"got one held by thread {mutex.owner()}"):
            in_thread(mutex.release)
        assert mutex.locked()


def test_waiter_gets_the_mutex_when_it_is_released():
    mutex = Mutex()
    mutex.acquire()
    waiting = threading.Event()

    def wait():
        waiting.set()
        with mutex:
            return time.monotonic()

    released = []
    thread = threading.Thread(target=lambda: released.append(wait()), daemon=True)
    thread.start()
    assert waiting.wait(10)
    time.sleep(0.1)
    assert released == []
    mutex.release()
    thread.join(10)
    assert len(released) == 1


def test_waiting_can_be_interrupted():
    mutex = Mutex()
    held, done = threading.Event(), threading.Event()

    def hold():
        with mutex:
            held.set()
            done.wait(30)

    threading.Thread(target=hold, daemon=True).start()
    held.wait(10)

    with interrupted_after(0.1):
        mutex.acquire(timeout=30)
    done.set()


def test_interrupted_wait_does_not_leave_the_mutex_held():
    """The signal comes during the wait, and is handled when the mutex has just been acquired."""
    for _ in range(15):
        mutex, held = Mutex(), threading.Event()

        def hold(mutex=mutex, held=held):
            with mutex:
                held.set()
                time.sleep(0.06)

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        with interrupted_after(0.03):
            mutex.acquire()
        thread.join()
        assert not mutex.locked()


def test_mutex_is_neither_true_nor_false():
    with pytest.raises(TypeError, match=r"did you mean mutex\.locked\(\)\?$"):
        bool(Mutex())


def test_bank_holds_independent_mutexes():
    bank = ops.create_mutex(3)
    assert ops.mutex_lock(bank, 1) == 1
    assert [ops.mutex_try_lock(bank, i) for i in range(3)] == [1, 0, 1]
    assert ops.mutex_try_lock(bank[1]) == 0  # a view of one slot is that mutex
    assert [bool(ops.mutex_owner(bank, i)) for i in range(3)] == [True, True, True]
    for i in range(3):
        ops.mutex_unlock(bank, i)
    assert [ops.mutex_owner(bank, i) for i in range(3)] == [0, 0, 0]


def hold_too_many():
    bank, one_more = ops.create_mutex(1024), ops.create_mutex()
    for i in range(1024):
        ops.mutex_lock(bank, i)
    with pytest.raises(RuntimeError, match="must hold fewer than 1024 mutexes, got 1024"):
        ops.mutex_lock(one_more)
    ops.mutex_unlock(bank, 512)
    assert ops.mutex_lock(one_more) == 1


def test_thread_holds_at_most_1024_mutexes():
    in_thread(hold_too_many)


def test_two_that_wait_for_each_other_time_out_and_can_go_on():
    mutexes, both = [Mutex(), Mutex()], threading.Barrier(2)

    def cross(rank):
        with mutexes[rank]:
            both.wait(10)
            acquired = mutexes[1 - rank].acquire(timeout=0.2)
            both.wait(10)
        return acquired

    assert run_threads(2, cross) == [False, False]
    with mutexes[0], mutexes[1]:
        pass


def try_to_unlock(_: int, mutex: Mutex) -> None:
    assert mutex.locked()
    assert mutex.acquire(blocking=False) is False
    with pytest.raises(RuntimeError, match="must be held by the calling thread"):
        mutex.release()


def test_forked_child_does_not_hold_what_its_parent_holds():
    mutex = Mutex()
    with mutex:
        run_processes(1, try_to_unlock, mutex)
        assert mutex.owner() == threading.get_native_id()


def lock_in_a_new_pid_namespace(_: int, mutex: Mutex) -> None:
    clone_newpid = 0x20000000
    assert ctypes.CDLL(None).unshare(clone_newpid) == 0
    pid = os.fork()  # the child is the first process of the new namespace
    if pid == 0:
        with pytest.raises(RuntimeError, match="must be used in the pid namespace"):
            mutex.acquire(timeout=1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a pid namespace")
def test_other_pid_namespace_is_refused():
    run_processes(1, lock_in_a_new_pid_namespace, Mutex())


def lock_and_unlock(mutex):
    ops.mutex_lock(mutex)
    ops.mutex_unlock(mutex)


def use_a_tensor() -> None:
    lock_and_unlock(ops.create_mutex())


def lock_in_a_thread_that_ends() -> None:
    mutex = ops.create_mutex()
    in_thread(lambda: ops.mutex_lock(mutex))


def use_an_object() -> None:
    with Mutex():
        pass


def used_by_this_process() -> dict[str, int]:
    rss = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    return {
        "mappings": len(Path("/proc/self/maps").read_text().splitlines()),
        "descriptors": len(os.listdir("/proc/self/fd")),  # noqa: PTH208
        "files": len(list(Path("/dev/shm").glob(f"torch_{os.getpid()}_*"))),
        "MiB": rss >> 20,
    }


# Idle duplicates are kept, some 16, and glibc keeps memory that was freed.
ROOM = {"mappings": 60, "descriptors": 4, "files": 0, "MiB": 8}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("use", "cycles"),
    [(use_a_tensor, 3000), (use_an_object, 3000), (lock_in_a_thread_that_ends, 1000)],
)
def test_mutexes_that_are_gone_leave_nothing(use, cycles):
    for _ in range(100):  # what is kept is there then
        use()
    before = used_by_this_process()
    for _ in range(cycles):
        use()
    grown = {key: value - before[key] for key, value in used_by_this_process().items()}
    assert {key: value for key, value in grown.items() if value > ROOM[key]} == {}


def lock_without_a_file_descriptor(_: int, used: Mutex, new: Tensor) -> None:
    lock_and_unlock(used.tensor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    with used:
        assert in_thread(lambda: used.acquire(timeout=0.1)) is False
    with pytest.raises(RuntimeError, match="system must let /proc/self/maps be read, got Too many"):
        ops.mutex_lock(new)


def test_only_the_first_lock_of_a_tensor_needs_a_file_descriptor():
    run_processes(1, lock_without_a_file_descriptor, Mutex(), ops.create_mutex())
