"""What Mutex and AtomicBool are measured against: see locks.py's docstring."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator

from _contest import Case, Contender, Goal, faster, of
from _timing import Way

import caffe2op_atomics as atomics

_WITH = "with lock: pass"


def cases() -> Iterator[Case]:
    """Give all cases, each made when its turn comes."""
    yield locking(1, faster(1))
    yield locking(2, faster(0.8))
    yield locking(4, faster())
    yield asking()


def locking(processes: int, goal: Goal) -> Case:
    """Acquire and release; with several processes, all of them the same lock."""
    context = multiprocessing.get_context("fork")

    def contender(name: str, lock: object, goal: Goal | None = None) -> Contender:
        return Contender(name, Way(_WITH, lambda _: {"lock": lock}), goal)

    rivals = [contender("multiprocessing.Lock", context.Lock(), goal)]
    if processes == 1:
        rivals.append(contender("threading.Lock, unshared", threading.Lock(), faster()))
    return Case(
        f"with Mutex, {of(processes, 'process')}",
        contender("atomics", atomics.Mutex()),
        rivals,
        workers=processes,
        processes=processes > 1,
    )


def asking() -> Case:
    """Look at a flag."""
    ours, theirs = atomics.AtomicBool(), multiprocessing.get_context("fork").Event()
    return Case(
        "AtomicBool.is_set()",
        Contender("atomics", Way("flag.is_set()", lambda _: {"flag": ours})),
        [
            Contender(
                "multiprocessing.Event",
                Way("flag.is_set()", lambda _: {"flag": theirs}),
                faster(5),
            )
        ],
    )
