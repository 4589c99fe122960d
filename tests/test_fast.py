"""The fast path: exact, in memory of its own for life, and the same memory as everybody's."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
import threading
from itertools import repeat
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from support import TIMEOUT, run_processes, run_threads

from caffe2op_atomics import AtomicBool, Counter, Mutex, _cells

FAST = _cells.WHY_SLOW is None
OFF = "CAFFE2OP_ATOMICS_NO_FAST"
CALLS = 500_000 if FAST else 20_000

only_fast = pytest.mark.skipif(not FAST, reason="of the fast path")


def test_fast_path_is_in_use_unless_it_was_turned_off():
    assert FAST or os.environ[OFF] == "1"


@pytest.mark.parametrize(
    ("environment", "said"),
    [({}, "fast path: in use"), ({OFF: "1"}, f"fast path: not in use ({OFF} is set)")],
)
def test_command_line_says_whether_the_fast_path_is_in_use(environment, said):
    if not FAST and not environment:
        pytest.skip("it is turned off")
    printed = subprocess.run(
        [sys.executable, "-m", "caffe2op_atomics"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=TIMEOUT,
    ).stdout
    assert said in printed.splitlines()


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
    assert f"{OFF} is set" == _cells.WHY_SLOW
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
        if FAST and use != flag.wait:
            assert use() == result
        elif not FAST:
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


class HandlerError(Exception):
    pass


@only_fast
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


@only_fast
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


@only_fast
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


@only_fast
@pytest.mark.parametrize("kind", [Counter, AtomicBool, Mutex])
def test_object_is_bound_once(kind):
    shared = kind()
    with pytest.raises(RuntimeError, match="is bound to its memory once"):
        shared._bind(shared._address, shared._tensor.nbytes)


@only_fast
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
    "test_given_memory.py",
    "test_mutex.py",
    "test_owner_death.py",
]


@only_fast
@pytest.mark.timeout(600)
def test_class_tests_pass_without_the_fast_path():
    result = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"),
            *("-k", "not spawn and not forkserver", *CLASS_TESTS),
        ],
        cwd=Path(__file__).parent,
        env={**os.environ, OFF: "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=580,
    )
    assert result.returncode == 0, result.stdout[-3000:]
