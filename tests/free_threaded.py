"""A program for a free-threaded interpreter, without torch: threads meet in the objects of _fast.

Its arguments are the module, the op library, what that needs, and the files of a Counter, an
AtomicBool and a Mutex, which another process has as well. It prints how often it counted.
"""

from __future__ import annotations

import ctypes
import importlib.util
import mmap
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HEADER_BYTES = 64  # of each file
THREADS = 4
CALLS = 50_000
ROUNDS = 300

module, library, *needed = sys.argv[1:-3]
files = sys.argv[-3:]

assert not sys._is_gil_enabled()
spec = importlib.util.spec_from_file_location("_fast", module)
_fast = importlib.util.module_from_spec(spec)
spec.loader.exec_module(_fast)
assert not sys._is_gil_enabled(), "a module that does not say that it needs no GIL turns it on"
for path in (*needed, library):
    ctypes.CDLL(path, ctypes.RTLD_GLOBAL)
_fast.connect(library)


class Mutex(_fast.MutexCell):
    _warn_after = None
    _on_owner_died = "raise"


def mapped(path: str) -> ctypes.Array[ctypes.c_char]:
    with Path(path).open("r+b") as file:
        memory = mmap.mmap(file.fileno(), 0)
    return (ctypes.c_char * len(memory)).from_buffer(memory)


def run(*works: Callable[[], Any]) -> list[Any]:
    """Call all of them at once, each in a thread, and return what they return."""
    barrier = threading.Barrier(len(works))

    def call(work: Callable[[], Any]) -> Any:
        barrier.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(call, works))


KINDS = [(_fast.CounterCell, 64), (_fast.FlagCell, 4), (Mutex, 128)]
memory = [mapped(path) for path in files]
addresses = [ctypes.addressof(each) + HEADER_BYTES for each in memory]


def bound(kind: int) -> Any:
    made = KINDS[kind][0]()
    made._bind(addresses[kind], KINDS[kind][1])
    return made


counter, flag, mutex = map(bound, range(3))


def tickets_are_dealt_once() -> int:
    dealt = run(*[lambda: [counter.next() for _ in range(CALLS)]] * THREADS)
    assert len(set().union(*dealt)) == THREADS * CALLS
    return THREADS * CALLS


def sums_are_exact() -> int:
    def work() -> None:
        mine = counter
        for _ in range(CALLS):
            mine += 3
            mine.fetch_sub(2)

    run(*[work] * THREADS)
    return THREADS * CALLS


def a_mutex_excludes() -> int:
    counts = {"all": 0}  # a plain number, which threads would lose updates of

    def work() -> None:
        for _ in range(CALLS):
            with mutex:
                counts["all"] = counts["all"] + 1

    run(*[work] * THREADS)
    assert counts["all"] == THREADS * CALLS
    assert mutex.owner() is None
    return 0


def sleepers_are_woken() -> int:
    for _ in range(ROUNDS):
        flag.clear()
        goal = counter._load() + 10
        results = run(
            lambda goal=goal: counter.wait_until(goal, timeout=60),
            lambda: flag.wait(timeout=60),
            lambda: [counter.next() for _ in range(10)] and flag.set() is None,
        )
        assert results == [True] * 3
    return 10 * ROUNDS


def an_object_is_bound_once() -> int:
    for number in range(ROUNDS):
        kind = number % 3
        shared = KINDS[kind][0]()

        def work(shared: Any = shared, kind: int = kind) -> bool:
            try:
                shared._bind(addresses[kind], KINDS[kind][1])
            except RuntimeError as error:
                if "bound to its memory once" not in str(error):
                    raise
                return False
            return True

        assert sum(run(*[work] * THREADS)) == 1
    return 0


def objects_end_while_others_begin() -> int:
    slots = [[bound(kind)] for kind in range(3)]

    def replace() -> None:
        for _ in range(10 * ROUNDS):
            for kind in range(3):
                slots[kind][0] = bound(kind)

    def use() -> None:
        for _ in range(10 * ROUNDS):
            slots[0][0].next()
            slots[1][0].set()
            slots[2][0].owner()

    run(replace, replace, use, use)
    return 2 * 10 * ROUNDS


scenes = (
    tickets_are_dealt_once,
    sums_are_exact,
    a_mutex_excludes,
    sleepers_are_woken,
    an_object_is_bound_once,
    objects_end_while_others_begin,
)
print(sum(scene() for scene in scenes))
assert not sys._is_gil_enabled()
