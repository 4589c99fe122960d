"""What the workers of a storm share, and what must be true of it afterwards."""

from __future__ import annotations

from typing import Any

import torch
from storm_account import WORKERS, Ledger, Subject, shared
from storm_guarded import Adam, Counts, Sgd, Sums, Tokens, Versions
from storm_names import Names

from caffe2op_atomics import (
    AtomicBool,
    Counter,
    Mutex,
    OwnerDiedError,
    SharedBatchSampler,
)


class Pair(Subject):
    """Two numbers that a mutex keeps equal."""

    calls = ("count",)

    def __init__(self) -> None:
        self.mutex, self.pair = Mutex(), shared(2)
        self.banks = [self.mutex.tensor]

    def lock(self, timeout: float) -> None:
        try:
            while not self.mutex.acquire(timeout=timeout):
                pass
        except OwnerDiedError:
            self.pair[1] = self.pair[0]
            self.mutex.consistent()

    def count(self, rank: int) -> None:
        self.lock((-1, 0.001)[rank % 2])
        self.pair[0] += 1
        self.pair[1] += 1
        self.mutex.release()

    def check(self, ledger: Ledger) -> None:
        self.lock(10)
        finished, begun = self.bounds(ledger, "count")
        assert self.pair[0] == self.pair[1]
        assert finished <= self.pair[0] <= begun
        self.mutex.release()


class Tickets(Subject):
    calls = ("draw",)

    def __init__(self) -> None:
        self.tickets, self.marks = Counter(), shared(2**22, dtype=torch.uint8)

    def draw(self, rank: int) -> None:
        for _ in range(20):
            self.marks[self.tickets.next()] += 1

    def check(self, ledger: Ledger) -> None:
        finished, begun = self.bounds(ledger, "draw")
        drawn = self.tickets.value
        assert 20 * finished <= drawn <= 20 * begun
        assert not self.marks[drawn:].any()
        assert self.marks.max() == 1
        assert drawn - (begun - finished) <= self.marks.sum() <= drawn


class Flags(Subject):
    """Each worker changes a flag of its own."""

    calls = ("change",)

    def __init__(self) -> None:
        self.flags = [AtomicBool() for _ in range(WORKERS)]
        self.wanted = shared(WORKERS)

    def start(self, rank: int) -> None:
        self.flags[rank].set() if self.wanted[rank] else self.flags[rank].clear()

    def change(self, rank: int) -> None:
        flag, wanted = self.flags[rank], 1 - int(self.wanted[rank])
        self.wanted[rank] = wanted
        flag.set() if wanted else flag.clear()
        assert flag.is_set() == bool(wanted)
        assert flag.wait(0) == bool(wanted)

    def check(self, ledger: Ledger) -> None:
        wanted = [bool(each) for each in self.wanted]
        assert [flag.is_set() for flag in self.flags] == wanted


class Batches(Subject):
    calls = ("draw",)

    def __init__(self) -> None:
        self.sampler = SharedBatchSampler(1000, 1, shuffle=False)
        self.drawn = shared(WORKERS, 1000)

    def start(self, rank: int) -> None:
        self.batches: Any = iter(self.sampler)

    def draw(self, rank: int) -> None:
        for batch in self.batches:
            self.drawn[rank, batch[0]] += 1
            return
        self.batches = iter(self.sampler)

    def check(self, ledger: Ledger) -> None:
        finished, begun = self.bounds(ledger, "draw")
        epoch, position = self.sampler._tickets.now()
        expected = torch.full((1000,), epoch)
        expected[:position] += 1
        missing = expected - self.drawn.sum(dim=0)
        assert (missing >= 0).all()
        assert missing.sum() <= begun - finished


def all_subjects() -> list[Subject]:
    return [
        subject()
        for subject in (
            *(Pair, Sums, Counts, Tokens, Versions, Sgd, Adam),
            *(Tickets, Flags, Batches, Names),
        )
    ]
