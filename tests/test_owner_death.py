"""The holder of a mutex dies, by SIGKILL or otherwise: the next locker gets it and is told."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
import torch
import torch.multiprocessing as mp
from support import TIMEOUT, run_threads

from caffe2op_atomics import Mutex, OwnerDiedError, caffe2

ops = torch.ops.atomics


def hold(mutex: Mutex, ready) -> None:
    mutex.acquire()
    ready.set()
    time.sleep(TIMEOUT)


def kill_a_holder(mutex: Mutex, start_method: str = "fork") -> None:
    context = mp.get_context(start_method)
    ready = context.Event()
    process = context.Process(target=hold, args=(mutex, ready))
    process.start()
    assert ready.wait(TIMEOUT)
    assert mutex.acquire(timeout=0.1) is False
    os.kill(process.pid, signal.SIGKILL)
    process.join(TIMEOUT)


def test_next_acquire_holds_the_mutex_and_is_told(start_method, strategy):
    mutex = Mutex()
    kill_a_holder(mutex, start_method)
    with pytest.raises(OwnerDiedError, match=r"^acquired, but the last holder died"):
        mutex.acquire(timeout=5)
    assert mutex.owner() == threading.get_native_id()
    mutex.consistent()
    mutex.release()
    assert mutex.acquire(timeout=5) is True
    mutex.release()


@pytest.mark.parametrize("acquire", [{"blocking": False}, {"timeout": 0}, {"timeout": -1}])
def test_every_way_to_acquire_is_told(acquire):
    mutex = Mutex()
    kill_a_holder(mutex)
    with pytest.raises(OwnerDiedError):
        mutex.acquire(**acquire)
    mutex.consistent()
    mutex.release()


def test_waiter_is_woken_by_the_death():
    mutex = Mutex()
    context = mp.get_context("fork")
    ready = context.Event()
    process = context.Process(target=hold, args=(mutex, ready))
    process.start()
    assert ready.wait(TIMEOUT)
    threading.Timer(0.3, process.kill).start()
    with pytest.raises(OwnerDiedError):
        mutex.acquire(timeout=30)
    mutex.consistent()
    mutex.release()
    process.join(TIMEOUT)


def test_recover_goes_on():
    mutex = Mutex(on_owner_died="recover")
    kill_a_holder(mutex)
    with mutex:
        assert mutex.locked()
    with mutex:
        pass


def test_release_without_consistent_loses_the_mutex_loudly():
    mutex = Mutex()
    kill_a_holder(mutex)
    with pytest.raises(OwnerDiedError):
        mutex.acquire()
    mutex.release()
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"^acquire: mutex must not be lost, got one that"):
            mutex.acquire(timeout=1)
    assert repr(mutex) == "Mutex(lost)"


def test_repr_tells_of_a_death():
    mutex = Mutex()
    kill_a_holder(mutex)
    for _ in range(2):
        assert repr(mutex) == "Mutex(unlocked, its last holder died)"
    with pytest.raises(OwnerDiedError):
        mutex.acquire()
    assert repr(mutex).startswith("Mutex(held by thread")
    mutex.consistent()
    mutex.release()
    assert repr(mutex) == "Mutex(unlocked)"
    assert mutex.recoveries == 1


def test_consistent_is_refused_when_nobody_died():
    mutex = Mutex()
    with pytest.raises(RuntimeError, match="got one it does not hold"):
        mutex.consistent()
    with mutex, pytest.raises(RuntimeError, match="got one whose owner did not die"):
        mutex.consistent()


def test_thread_that_ends_while_holding_is_a_death():
    mutex = Mutex()
    run_threads(1, lambda _: mutex.acquire())
    with pytest.raises(OwnerDiedError):
        mutex.acquire(timeout=5)
    mutex.consistent()
    mutex.release()


def test_holder_can_die_again_before_it_repaired():
    mutex = Mutex()
    kill_a_holder(mutex)

    def inherit(_):
        with pytest.raises(OwnerDiedError):
            mutex.acquire()

    run_threads(1, inherit)  # and ends without consistent()
    with pytest.raises(OwnerDiedError):
        mutex.acquire(timeout=5)
    mutex.consistent()
    mutex.release()


def test_recoveries_count_deaths_that_nobody_met_as_well():
    mutex = Mutex()
    assert mutex.recoveries == 0
    kill_a_holder(mutex)
    assert mutex.recoveries == 1  # and the next locker is told all the same
    with pytest.raises(OwnerDiedError):
        mutex.acquire()
    assert mutex.recoveries == 1
    mutex.consistent()
    mutex.release()
    run_threads(1, lambda _: mutex.acquire())
    with pytest.raises(OwnerDiedError):
        mutex.acquire()
    assert mutex.recoveries == 2


def fork_and_hold(mutex: Mutex, ready, told) -> None:
    mutex.acquire()
    if os.fork() == 0:
        try:
            mutex.acquire(timeout=TIMEOUT)  # its parent holds it, and dies
        except OwnerDiedError:
            mutex.consistent()
            mutex.release()
            told.set()
        os._exit(0)
    ready.set()
    time.sleep(TIMEOUT)


def test_child_of_a_holder_that_dies_is_told():
    context = mp.get_context("fork")
    ready, told, mutex = context.Event(), context.Event(), Mutex()
    process = context.Process(target=fork_and_hold, args=(mutex, ready, told))
    process.start()
    assert ready.wait(TIMEOUT)
    process.kill()
    process.join(TIMEOUT)
    assert told.wait(TIMEOUT)
    assert mutex.acquire(timeout=TIMEOUT)
    mutex.release()


def test_caffe2_op_goes_on_and_leaves_the_news_to_the_next_locker():
    mutex = Mutex()
    kill_a_holder(mutex)
    value = torch.tensor([1])
    for expected in (2, 3):
        assert caffe2.atomic_iter(mutex.tensor, value).item() == expected
    with pytest.raises(OwnerDiedError):
        mutex.acquire()
    mutex.consistent()
    mutex.release()
    assert mutex.acquire() is True
