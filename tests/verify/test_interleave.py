"""The explorer runs every interleaving; a part of what make verify runs with it."""

from __future__ import annotations

import itertools
import math
from functools import partial

import _interleave
import _store_protocols as store
import pytest
from _interleave import Actor, access, explore, pid
from _protocols import MUTANTS, QUICK


class Counting:
    """Actors that count on a word, each so many times."""

    def __init__(self, times: list[int], torn: bool) -> None:
        self._times, self._torn = times, torn

    def __call__(self) -> Counting:
        self.word, self.counted = [0], [0]
        self.actors = [Actor(i, partial(self._count, n)) for i, n in enumerate(self._times, 1)]
        return self

    def _count(self, times: int) -> None:
        for _ in range(times):
            if self._torn:
                seen = access(lambda: self.word[0])
                access(partial(self.word.__setitem__, 0, seen + 1))
            else:
                access(lambda: self.word.__setitem__(0, self.word[0] + 1))
            self.counted[0] += 1

    def shared(self) -> object:
        return self.word

    def bury(self, dead: int) -> None:
        pass

    def wrong(self) -> str | None:
        return None if self.word == self.counted else f"{self.word} of {self.counted}"

    def close(self) -> None:
        pass


class Locking(Counting):
    """Actors that take two locks, in the same order or not, and leave them to the kernel."""

    def _count(self, order: int) -> None:
        for lock in (0, 1)[::order]:
            access(partial(self._lock, lock))
        access(partial(self.bury, pid()))

    def _lock(self, lock: int) -> None:
        if self.held.setdefault(lock, pid()) != pid():
            raise BlockingIOError

    def __call__(self) -> Locking:
        self.held: dict[int, int] = {}
        super().__call__()
        return self

    def shared(self) -> object:
        return sorted(self.held.items())

    def bury(self, dead: int) -> None:
        self.held = {lock: holder for lock, holder in self.held.items() if holder != dead}


@pytest.mark.parametrize("times", [[3, 4], [2, 2, 3]])
def test_every_interleaving_is_counted(times):
    found = explore(Counting(times, torn=False))
    assert found.wrong is None
    assert found.interleavings == math.factorial(sum(times)) // math.prod(
        map(math.factorial, times)
    )
    assert found.states == math.prod(n + 1 for n in times)


def test_as_many_interleavings_are_counted_as_are_run_one_by_one(monkeypatch):
    scene = partial(Locking, [1, 1], torn=False)
    merged = [explore(scene(), deaths) for deaths in (0, 1)]
    numbers = map(str, itertools.count())
    monkeypatch.setattr(_interleave, "_state", lambda _: next(numbers).encode())
    single = [explore(scene(), deaths) for deaths in (0, 1)]
    assert [each.interleavings for each in merged] == [each.interleavings for each in single]
    assert all(few.states < many.states for few, many in zip(merged, single, strict=True))


def test_lost_update_is_found():
    assert explore(Counting([1, 1], torn=True)).wrong == "[1] of [2]"


def test_deadlock_is_found_and_death_frees_what_was_held():
    assert explore(Locking([1, 1], torn=False), deaths=1).wrong is None
    assert explore(Locking([1, -1], torn=False)).wrong == "process 1 waits for ever"


@pytest.mark.parametrize("case", QUICK[:2] + QUICK[3:] + store.QUICK, ids=lambda case: case.what)
def test_nothing_is_wrong_with(case):
    assert case.explore().wrong is None


FAST = [case for case in MUTANTS + store.MUTANTS if case.deaths == 0 and "unlink" not in case.what]


@pytest.mark.parametrize("case", FAST, ids=lambda case: case.what)
def test_mutant_is_found(case):
    assert case.explore().wrong
