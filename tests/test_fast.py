"""The fast path: exact, and in the same memory as everybody's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from itertools import repeat
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from support import ONLY_FAST, TIMEOUT, run_processes, run_threads

from caffe2op_atomics import AtomicBool, Counter, Mutex
from caffe2op_atomics._cells import WHY_SLOW

OFF = "CAFFE2OP_ATOMICS_NO_FAST"
CALLS = 500_000 if WHY_SLOW is None else 20_000


def test_fast_path_is_in_use_unless_it_was_turned_off():
    assert WHY_SLOW is None or os.environ[OFF] == "1"


@pytest.mark.parametrize(
    ("environment", "said"),
    [({}, "in use"), ({OFF: "1"}, f"not in use ({OFF} is set)")],
)
def test_command_line_says_whether_the_fast_path_is_in_use(environment, said):
    if WHY_SLOW is not None and not environment:
        pytest.skip("it is turned off")
    printed = subprocess.run(
        [sys.executable, "-m", "caffe2op_atomics", "--no-self-test"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=TIMEOUT,
    ).stdout
    (line,) = (line for line in printed.splitlines() if line.startswith("  fast path "))
    assert line.split("  ")[-1].strip() == said


def count(rank: int, counter: Counter) -> None:
    following = counter.next
    for _ in repeat(None, CALLS):
        following()
    for _ in repeat(None, CALLS):
        counter += 3
        counter -= 1
    for _ in repeat(None, CALLS):
        counter.fetch_add(5)
        counter.fetch_sub(rank)


@pytest.mark.parametrize("run", [run_threads, run_processes])
def test_processes_and_threads_count_exactly(run):
    counter = Counter()
    run(3, count, counter)
    assert counter.value == 3 * (1 + 3 - 1 + 5) * CALLS - (0 + 1 + 2) * CALLS


def draw(rank: int, counter: Counter, drawn: torch.Tensor) -> None:
    """Tickets are kept where no lock is needed: each one is written once."""
    for _ in repeat(None, len(drawn) // 3):
        drawn[counter.next()] += 1


def test_no_ticket_is_drawn_twice():
    counter, drawn = Counter(), torch.zeros(30_000, dtype=torch.uint8).share_memory_()
    run_processes(3, draw, counter, drawn)
    assert drawn.tolist() == [1] * 30_000


def elect(rank: int, flag: AtomicBool, mutex: Mutex, value: torch.Tensor) -> None:
    for _ in repeat(None, 20_000):
        with mutex:
            value[0] = value[0].item() + 1
    flag.set()


def test_mutex_excludes_processes():
    flag, mutex = AtomicBool(), Mutex()
    value = torch.zeros(1, dtype=torch.int64).share_memory_()
    run_processes(3, elect, flag, mutex, value)
    assert value.item() == 60_000
    assert flag.is_set()


def count_slowly(counter: Counter, flag: AtomicBool, mutex: Mutex) -> None:
    assert f"{OFF} is set" == WHY_SLOW
    for _ in range(5000):
        with mutex:
            counter += 1
    flag.set()
    assert counter.wait_until(10_000, TIMEOUT)


def test_process_without_the_fast_path_shares_the_same_objects(monkeypatch):
    monkeypatch.setenv(OFF, "1")
    objects = counter, flag, mutex = Counter(), AtomicBool(), Mutex()
    process = mp.get_context("spawn").Process(target=count_slowly, args=objects)
    process.start()
    for _ in range(5000):
        with mutex:
            counter += 1
    assert flag.wait(TIMEOUT)
    process.join(TIMEOUT)
    assert process.exitcode == 0
    assert counter.value == 10_000


class HandlerError(Exception):
    pass


@ONLY_FAST
@pytest.mark.parametrize("busy", [False, True])
def test_signal_never_leaves_the_mutex_held_behind_a_with(busy):
    """The handler raises wherever it likes, between lock and body too."""
    mutex, done = Mutex(), AtomicBool()

    def interrupt(*_):
        raise HandlerError

    def contend():
        while not done:
            with mutex:
                pass

    if busy:
        threading.Thread(target=contend, daemon=True).start()
    interrupted = 0
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        while interrupted < 300:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0007)
                while True:
                    with mutex:
                        pass
            except HandlerError:
                interrupted += 1
                assert mutex.owner() != threading.get_native_id()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        done.set()


@ONLY_FAST
def test_methods_refuse_arguments_as_python_does():
    for call in (
        lambda: Mutex().acquire(True, 1, 2),
        lambda: Mutex().acquire(True, blocking=True),
        lambda: Mutex().acquire(wait=True),
        lambda: Counter().wait_until(),
        lambda: AtomicBool().wait(1, timeout=1),
    ):
        with pytest.raises(TypeError, match=r"^(acquire|wait|wait_until)\(\) "):
            call()


CLASS_TESTS = [
    "test_classes.py",
    "test_class_waits.py",
    "test_fast.py",
    "test_fast_memory.py",
    "test_given_memory.py",
    "test_mutex.py",
    "test_owner_death.py",
]


@ONLY_FAST
@pytest.mark.timeout(600)
def test_class_tests_pass_without_the_fast_path():
    result = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"),
            *("-k", "not spawn and not forkserver and not leave_nothing", *CLASS_TESTS),
        ],
        cwd=Path(__file__).parent,
        env={**os.environ, OFF: "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=580,
    )
    assert result.returncode == 0, result.stdout[-3000:]
