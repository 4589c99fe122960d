"""A signal handler that raises, at whatever moment of an acquire: held and told, or neither."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from contextlib import contextmanager

import pytest
import torch.multiprocessing as mp
from support import TIMEOUT

from caffe2op_atomics import Mutex, OwnerDiedError


class InterruptedByTestError(RuntimeError):  # as torch's DataLoader raises from its handler
    pass


@contextmanager
def interrupting():
    def interrupt(*_):
        raise InterruptedByTestError

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def hold(mutex: Mutex, ready) -> None:
    mutex.acquire()
    ready.set()
    time.sleep(TIMEOUT)


def kill_and_interrupt(process, main: int) -> None:
    time.sleep(0.02 + random.random() / 1000)
    process.kill()
    time.sleep(random.random() / 1000)
    signal.pthread_kill(main, signal.SIGALRM)


@pytest.mark.parametrize("policy", ["raise", "recover"])
def test_a_death_that_is_met_with_a_signal_is_told_or_passed_on(policy):
    context = mp.get_context("fork")
    for _ in range(10):
        mutex, ready = Mutex(policy), context.Event()
        process = context.Process(target=hold, args=(mutex, ready))
        process.start()
        assert ready.wait(TIMEOUT)
        both = (process, threading.get_ident())
        killer = threading.Thread(target=kill_and_interrupt, args=both)
        killer.start()
        told = acquired = False
        try:
            with interrupting():
                try:
                    acquired = mutex.acquire(timeout=TIMEOUT)
                except OwnerDiedError:
                    told = True
                killer.join()
        except InterruptedByTestError:  # in the acquire, or after it
            killer.join()
        if told or acquired:
            assert mutex.owner() == threading.get_native_id()
            if told:
                mutex.consistent()
            mutex.release()
        elif policy == "raise":
            assert not mutex.locked()
            with pytest.raises(OwnerDiedError):  # nobody was told
                mutex.acquire(timeout=TIMEOUT)
            mutex.consistent()
            mutex.release()
        with mutex:
            pass
        assert mutex.recoveries == 1
        process.join(TIMEOUT)


# Not in the `try` itself: Python 3.13 leaves the end of a loop, where it handles signals, outside.
def try_in_vain(mutex: Mutex, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert mutex.acquire(blocking=False) is False


def test_the_holder_keeps_the_mutex_when_a_try_of_its_own_is_interrupted():
    mutex = Mutex()
    with interrupting():
        for _ in range(300):
            mutex.acquire()
            try:
                signal.setitimer(signal.ITIMER_REAL, random.random() / 5000)
                try_in_vain(mutex, 0.01)
            except InterruptedByTestError:
                pass
            assert mutex.owner() == threading.get_native_id()
            mutex.release()


def test_an_interrupted_acquire_leaves_the_mutex_unlocked_whatever_the_handler_raises():
    mutex = Mutex()
    with interrupting():
        for _ in range(20):
            held, leave = threading.Event(), threading.Event()

            def work(held=held, leave=leave):
                with mutex:
                    held.set()
                    leave.wait(TIMEOUT)

            thread = threading.Thread(target=work)
            thread.start()
            held.wait()
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            threading.Timer(0.01, leave.set).start()
            try:
                mutex.acquire()
                time.sleep(0.1)  # the signal comes here, if the mutex was had before it
                raise AssertionError("no signal")
            except InterruptedByTestError:
                if mutex.owner() == threading.get_native_id():
                    mutex.release()
            thread.join()
            assert not mutex.locked()


def wait_in_a_program(mutex: Mutex) -> None:
    exec("mutex.acquire(timeout=0.2)", {"mutex": mutex})  # whose globals have no __name__


def hold_under_a_name(mutex: Mutex, ready) -> None:
    with open("/proc/self/comm", "wb") as comm:  # noqa: PTH123
        comm.write("trainer-für-öäü".encode()[:15])  # cut in the middle of a character
    hold(mutex, ready)


@pytest.mark.parametrize("wait", [wait_in_a_program, lambda mutex: mutex.acquire(timeout=0.2)])
def test_a_long_wait_is_told_of_whatever_holder_and_waiter_are_called(wait):
    context = mp.get_context("fork")
    mutex, ready = Mutex("recover", warn_after=0.05), context.Event()
    process = context.Process(target=hold_under_a_name, args=(mutex, ready))
    process.start()
    assert ready.wait(TIMEOUT)
    with pytest.warns(RuntimeWarning, match=f"of process {process.pid} "):
        wait(mutex)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with mutex:
        pass
