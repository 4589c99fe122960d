"""AtomicBool.wait and Counter.wait_until: who waits is woken, by threads and by processes."""

from __future__ import annotations

import inspect
import math
import os
import re
import signal
import threading
import time

import pytest
import torch
import torch.multiprocessing as mp
from support import ONLY_FAST, TIMEOUT, interrupted_after, run_processes, run_threads

from caffe2op_atomics import AtomicBool, Counter, Mutex
from caffe2op_atomics._cells import CounterCell, FlagCell, MutexCell

ops = torch.ops.atomics

# Those whom nobody wakes look every 50 ms: so many rounds would take three times the limit.
ROUNDS, LIMIT = 600, 10


def test_wait_returns_at_once_where_the_flag_is_set():
    flag = AtomicBool()
    flag.set()
    assert flag.wait() is True
    assert flag.wait(0) is True
    assert flag.wait(timeout=-1) is True


def test_wait_until_returns_at_once_where_the_value_is_reached():
    counter = Counter(5)
    assert counter.wait_until(5) is True
    assert counter.wait_until(-(2**63), timeout=0) is True


@pytest.mark.parametrize("timeout", [0, -1, 0.15])
def test_wait_gives_up_when_the_timeout_has_passed(timeout):
    start = time.monotonic()
    assert AtomicBool().wait(timeout) is False
    assert time.monotonic() - start >= timeout


def test_wait_until_gives_up_when_the_timeout_has_passed():
    counter, start = Counter(4), time.monotonic()
    assert counter.wait_until(5, 0.15) is False
    assert time.monotonic() - start >= 0.15
    assert counter.wait_until(n=5, timeout=0) is False


@pytest.mark.parametrize("timeout", [None, -1])
def test_none_and_minus_one_wait_for_ever(timeout):
    counter, mutex = Counter(), Mutex()
    threading.Timer(0.2, counter.next).start()
    assert counter.wait_until(1, timeout)
    assert mutex.acquire(timeout=timeout)
    assert mutex.acquire(False, timeout) is False


LIMITED = {
    "wait_until": lambda timeout: Counter().wait_until(1, timeout),
    "acquire": lambda timeout: Mutex().acquire(timeout=timeout),
    "wait": AtomicBool().wait,
}


@pytest.mark.parametrize("timeout", [-2, -0.5])
@pytest.mark.parametrize("method", ["wait_until", "acquire"])
def test_negative_timeout_is_refused(method, timeout):
    rule = f"{method}: timeout must be non-negative, or None or -1 for ever, got {timeout}"
    with pytest.raises(ValueError, match=f"^{rule}$"):
        LIMITED[method](timeout)


@pytest.mark.parametrize(
    ("timeout", "error"), [(math.nan, ValueError), ("1", TypeError), ([], TypeError)]
)
@pytest.mark.parametrize("method", LIMITED)
def test_timeout_that_is_no_number_is_refused(method, timeout, error):
    rule = f"{method}: timeout must be a number of seconds or None, got {timeout!r}"
    with pytest.raises(error, match=f"^{re.escape(rule)}$"):
        LIMITED[method](timeout)


def test_wait_until_refuses_what_int64_cannot_hold():
    with pytest.raises(OverflowError, match=r"must fit in int64, got 9223372036854775808$"):
        Counter().wait_until(2**63)
    with pytest.raises(TypeError):
        Counter().wait_until(1.5)


WRITES = {
    "next": Counter.next,
    "fetch_add": lambda counter: counter.fetch_add(1),
    "fetch_sub": lambda counter: counter.fetch_sub(-1),
    "+=": lambda counter: counter.__iadd__(1),
    "-=": lambda counter: counter.__isub__(-1),
    "op": lambda counter: ops.add_.int(counter.tensor, 1),  # wakes nobody
}


@pytest.mark.parametrize("write", WRITES)
def test_wait_until_sees_every_way_to_count(write):
    counter = Counter(-1)

    def work(rank: int) -> bool | None:
        if rank == 0:
            return counter.wait_until(0, TIMEOUT)
        time.sleep(0.1)
        WRITES[write](counter)
        return None

    assert run_threads(2, work)[0] is True


def take_turns(rank: int, counter: Counter, way: str) -> None:
    one = torch.tensor(1)
    for i in range(ROUNDS):
        assert counter.wait_until(2 * i + rank, TIMEOUT)
        if way == "next":
            assert counter.next() == 2 * i + rank
        else:
            assert ops.handle_fetch_add(counter.handle, one) == 2 * i + rank


def set_the_other(rank: int, flags: list[AtomicBool], way: str) -> None:
    true = torch.tensor(True)
    for _ in range(ROUNDS):
        assert flags[rank].wait(TIMEOUT)
        flags[rank].clear()
        if way == "set":
            flags[1 - rank].set()
        elif way == "handle":
            ops.handle_store_(flags[1 - rank].handle, true.int())
        else:
            ops.conditional_set_atomic_bool(flags[1 - rank].tensor, true)


@pytest.mark.parametrize("way", ["next", "handle"])
@pytest.mark.parametrize("run", [run_threads, run_processes])
def test_two_who_count_in_turns_lose_no_wake(run, way):
    counter, start = Counter(), time.monotonic()
    run(2, take_turns, counter, way)
    assert counter.value == 2 * ROUNDS
    assert time.monotonic() - start < LIMIT


@pytest.mark.parametrize("way", ["set", "op", "handle"])
@pytest.mark.parametrize("run", [run_threads, run_processes])
def test_two_who_set_flags_in_turns_lose_no_wake(run, way):
    flags, start = [AtomicBool(), AtomicBool()], time.monotonic()
    flags[0].set()
    run(2, set_the_other, flags, way)
    assert [flag.is_set() for flag in flags] == [True, False]
    assert time.monotonic() - start < LIMIT


def count_or_wait(rank: int, counter: Counter, calls: int) -> None:
    if rank < 2:
        for _ in range(calls):
            counter.next()
    else:
        for n in range(0, 2 * calls + 1, calls // 10 * rank):
            assert counter.wait_until(n, TIMEOUT)
            assert counter.value >= n


def test_many_wait_for_different_values_and_none_is_forgotten():
    counter = Counter()
    run_processes(5, count_or_wait, counter, 100_000)
    assert counter.value == 200_000


def test_all_who_wait_for_a_flag_are_woken():
    flag = AtomicBool()

    def work(rank: int) -> bool:
        if rank == 0:
            time.sleep(0.1)
            flag.set()
        return flag.wait(TIMEOUT)

    assert run_threads(8, work) == [True] * 8


def wait_for_ever(counter: Counter, flag: AtomicBool, ready) -> None:
    threading.Thread(target=flag.wait, daemon=True).start()
    ready.set()
    counter.wait_until(10**6)


def test_killed_waiter_leaves_counter_and_flag_usable():
    counter, flag = Counter(), AtomicBool()
    context = mp.get_context("fork")
    ready = context.Event()
    process = context.Process(target=wait_for_ever, args=(counter, flag, ready))
    process.start()
    assert ready.wait(TIMEOUT)
    time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.join(TIMEOUT)
    counter += 10**6 - 1
    run_threads(2, lambda rank: counter.wait_until(10**6, TIMEOUT) if rank else counter.next())
    flag.set()
    assert flag.wait(0)
    assert counter.value == 10**6


def held_mutex() -> Mutex:
    mutex = Mutex()
    threading.Thread(target=lambda: mutex.acquire() and time.sleep(5), daemon=True).start()
    while not mutex.locked():
        time.sleep(0.001)
    return mutex


WAITS = {
    "wait": lambda: AtomicBool().wait(),
    "wait_until": lambda: Counter().wait_until(1),
    "acquire": lambda: held_mutex().acquire(),
    "with": lambda: held_mutex().__enter__(),
}


@pytest.mark.parametrize("wait", WAITS)
def test_wait_is_interrupted_by_a_signal(wait):
    start = time.monotonic()
    with interrupted_after(0.2):
        WAITS[wait]()
    assert time.monotonic() - start < 1.2


def test_other_threads_run_while_one_waits():
    counter, flag = Counter(), AtomicBool()

    def work(rank: int) -> bool | None:
        if rank == 0:
            return counter.wait_until(1, TIMEOUT)
        if rank == 1:
            return flag.wait(TIMEOUT)
        sum(range(10**6))
        flag.set()
        counter.next()
        return None

    assert run_threads(3, work)[:2] == [True, True]


@ONLY_FAST
def test_signatures_and_docs_of_the_fast_path_are_shown():
    assert str(inspect.signature(Counter.wait_until)) == "(self, /, n, timeout=None)"
    assert str(inspect.signature(AtomicBool.wait)) == "(self, /, timeout=None)"
    assert str(inspect.signature(Mutex.acquire)) == "(self, /, blocking=True, timeout=-1)"
    for method in (Counter.wait_until, AtomicBool.wait, AtomicBool.set_if, Mutex.acquire):
        assert "Raises:" in inspect.getdoc(method)
    for cell in (CounterCell, FlagCell, MutexCell):
        bare = {name for name, method in vars(cell).items() if callable(method)} - {
            "_bind",
            "_load",
        }
        assert {name for name in bare if not getattr(cell, name).__doc__} == set()
