"""A name is made exactly once, whoever races and whoever is killed, and removed exactly once."""

from __future__ import annotations

import os
import random
import signal
import time
from functools import partial

import pytest
from named_files import ended, in_fork, path_of, run_forks, start
from support import TIMEOUT

from caffe2op_atomics import AtomicBool, Counter, Mutex, OwnerDiedError
from caffe2op_atomics._shared_file import DIRECTORY

KINDS = [Counter, AtomicBool, Mutex]
ROUNDS = 300


def race(rank: int, name: str) -> None:
    """Use a new name in each round at the same time as the others, and tell what was there."""
    arrived = Counter(name=name + ".arrived")
    seen = []
    for round_ in range(ROUNDS):
        arrived.next()
        while arrived.value < 8 * (round_ + 1):
            os.sched_yield()
        counter = Counter(rank + 1, name=f"{name}.{round_}")
        seen.append(counter.value)
    (DIRECTORY / f"{name}.{rank}").write_text(repr(seen))


def test_racing_creators_create_once(name):
    run_forks([partial(race, rank, name) for rank in range(8)])
    seen = {(DIRECTORY / f"{name}.{rank}").read_text() for rank in range(8)}
    assert len(seen) == 1, "somebody saw another counter, or half of one"
    values = eval(seen.pop())
    assert set(values) <= set(range(1, 9))
    assert len(set(values)) > 1, "always the same was first: no race"


def works_or_is_absent(kind, name: str) -> None:
    """As the next user finds it; nothing else is left."""
    assert {*DIRECTORY.glob(f"*{name}*")} <= {path_of(name)}
    if kind is Counter:
        there = path_of(name).exists()
        assert Counter(7, name=name).value == (1 if there else 7)
    shared = kind(name=name)
    if kind is Mutex:
        assert shared.acquire(timeout=10)
        shared.release()
    assert shared.unlink()


STEPS = ["open", "fchmod", "posix_fallocate", "pwrite", "link", "close"]
WHOLE = {("link", "after"), ("close", "before"), ("close", "after")}


@pytest.mark.filterwarnings("ignore::caffe2op_atomics.LeftoverWarning")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_creator_killed_at_a_step_leaves_all_or_nothing(name, kind, step, when):
    def die_at_step() -> None:
        system_call = getattr(os, step)

        def dying(*args: object, **settings: object) -> object:
            if step == "open" and args[0] != DIRECTORY:  # the look for a file that is there
                return system_call(*args, **settings)
            if when == "after":
                system_call(*args, **settings)
            return os.kill(os.getpid(), signal.SIGKILL)

        setattr(os, step, dying)
        Counter(1, name=name) if kind is Counter else kind(name=name)

    assert ended(in_fork(die_at_step)) == -signal.SIGKILL
    assert path_of(name).exists() == ((step, when) in WHOLE)
    works_or_is_absent(kind, name)


@pytest.mark.filterwarnings("ignore::caffe2op_atomics.LeftoverWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_creator_killed_at_random_leaves_all_or_nothing(name, kind):
    def create_for_ever() -> None:
        while True:
            (Counter(1, name=name) if kind is Counter else kind(name=name)).unlink()

    there = 0
    for _ in range(100):
        pid = in_fork(create_for_ever)
        time.sleep(random.uniform(0.002, 0.006))
        os.kill(pid, signal.SIGKILL)
        assert ended(pid) == -signal.SIGKILL
        there += path_of(name).exists()
        works_or_is_absent(kind, name)
    assert there < 100


HOLD = """
import sys, time
import caffe2op_atomics as atomics
mutex = atomics.Mutex(name=sys.argv[1])
mutex.acquire()
atomics.AtomicBool(name=sys.argv[1] + ".held").set()
time.sleep(1000)
"""


def test_killed_holder_of_a_named_mutex_is_told(name):
    mutex, held = Mutex(name=name), AtomicBool(name=name + ".held")
    holder = start(HOLD, name)
    try:
        deadline = time.monotonic() + TIMEOUT
        while not held:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert not mutex.acquire(timeout=0.1)
        assert mutex.owner() == holder.pid
    finally:
        holder.kill()
        holder.communicate()
    with pytest.raises(OwnerDiedError):
        mutex.acquire(timeout=10)
    mutex.consistent()
    mutex.release()
    assert Mutex(name=name).acquire(timeout=10)
    mutex.release()


@pytest.mark.filterwarnings("ignore::caffe2op_atomics.LeftoverWarning")
def test_racing_unlinks_remove_each_name_once(name):
    """Whoever unlinks removes what it was attached to, and never what was made since."""

    def unlink_for_a_while() -> None:
        removed = Counter(name=name + ".removed")
        made = Counter(name=name + ".made")
        for _ in range(500):
            counter = Counter(name=name)
            if counter.next() == 0:
                made.next()
            if counter.unlink():
                removed.next()

    run_forks([unlink_for_a_while] * 4)
    assert not path_of(name).exists()
    assert Counter(name=name + ".made").value == Counter(name=name + ".removed").value
