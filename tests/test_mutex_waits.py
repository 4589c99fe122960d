"""Who waits long for a mutex is told who holds it, once, and goes on waiting."""

from __future__ import annotations

import os
import threading
import warnings
from contextlib import contextmanager

import pytest
import torch.multiprocessing as mp
from support import TIMEOUT, run_threads

from caffe2op_atomics import AtomicBool, Counter, Mutex


def hold(mutex: Mutex, ready, done) -> None:
    with mutex:
        ready.set()
        done.wait(TIMEOUT)


@contextmanager
def held_elsewhere(mutex: Mutex):
    context = mp.get_context("fork")
    ready, done = context.Event(), context.Event()
    process = context.Process(target=hold, args=(mutex, ready, done))
    process.start()
    assert ready.wait(TIMEOUT)
    try:
        yield process.pid, done
    finally:
        done.set()
        process.join(TIMEOUT)


def test_a_long_wait_names_the_process_that_holds_the_mutex():
    mutex = Mutex(warn_after=0.1)
    with held_elsewhere(mutex) as (pid, _):
        with pytest.warns(RuntimeWarning) as caught:
            assert mutex.acquire(timeout=0.3) is False
        assert repr(mutex).startswith(f"Mutex(held by thread {pid} of process {pid} (")
    (warning,) = caught
    assert str(warning.message).startswith(
        f"Mutex: a thread waited 0.1 s so far for a mutex held by thread {pid} of process {pid} ("
    )
    assert warning.filename == __file__


def test_who_was_told_still_gets_the_mutex():
    mutex = Mutex(warn_after=0.05)
    with held_elsewhere(mutex) as (_, done):
        threading.Timer(0.3, done.set).start()
        with pytest.warns(RuntimeWarning) as caught, mutex:
            assert mutex.owner() == threading.get_native_id()
    (warning,) = caught
    assert warning.filename == __file__
    assert not mutex.locked()


def test_short_waits_and_those_that_want_no_warning_say_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for mutex in (Mutex(), Mutex(warn_after=None), Mutex(warn_after=0.2)):
            with held_elsewhere(mutex):
                assert mutex.acquire(timeout=0.2) is False
                assert mutex.acquire(timeout=0) is False
                assert mutex.acquire(blocking=False) is False
        with Mutex(warn_after=0):
            pass  # no wait, no warning


def test_a_warning_that_is_an_error_leaves_the_mutex_to_its_holder():
    mutex = Mutex(warn_after=0.05)
    with held_elsewhere(mutex) as (pid, _):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(RuntimeWarning):
                mutex.acquire()
        assert mutex.owner() == pid
    assert run_threads(1, lambda _: mutex.acquire(timeout=TIMEOUT) and mutex.release() is None)


@pytest.mark.parametrize("warn_after", [-1, float("nan")])
def test_warn_after_is_not_negative(warn_after):
    with pytest.raises(ValueError, match=r"^Mutex: warn_after must be None or non-negative, got "):
        Mutex(warn_after=warn_after)


def test_the_setting_travels_with_the_object():
    queue = mp.get_context("spawn").SimpleQueue()
    queue.put(Mutex(warn_after=7.5))
    assert queue.get()._warn_after == 7.5


def test_repr_names_thread_and_process():
    mutex = Mutex()
    assert repr(mutex) == "Mutex(unlocked)"
    with mutex:
        held = f"held by thread {threading.get_native_id()} of process {os.getpid()}"
        assert repr(mutex) == f"Mutex({held} (running))"


def test_warn_after_is_a_number():
    rule = "Mutex: warn_after must be a number of seconds or None, got str"
    with pytest.raises(TypeError, match=f"^{rule}$"):
        Mutex(warn_after="10")


def test_a_named_mutex_is_named(name):
    mutex = Mutex(name=name, warn_after=0.05)
    assert repr(mutex) == f"Mutex(name={name!r}, unlocked)"
    told = f"so far for the mutex '{name}' held by thread"
    with held_elsewhere(mutex), pytest.warns(RuntimeWarning, match=told):
        mutex.acquire(timeout=0.2)


def test_counters_and_flags_show_their_names(name):
    assert repr(Counter(3, name=f"{name}.a")) == f"Counter(name='{name}.a', value=3)"
    assert repr(AtomicBool(name=f"{name}.b")) == f"AtomicBool(name='{name}.b', is_set=False)"
    with pytest.raises(TypeError, match=r"must be an integer, got a str \(name='steps'\?\)$"):
        Counter("steps")
