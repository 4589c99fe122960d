"""Named objects in a storm: attached to, made and unlinked, while who does so is killed."""

from __future__ import annotations

import os
import random
from typing import Any

import torch
from named_files import path_of
from storm_account import WORKERS, Ledger, Subject, shared

from caffe2op_atomics import AtomicBool, Counter, GuardedTensor, Mutex, names

COUNTERS = 3


class Names(Subject):
    """A counter begins at 1, so that one worker, the first to count with it, knows it was made."""

    calls = ("count", "unlink", "use")
    often = 1  # slow

    def __init__(self) -> None:
        self.prefix = f"storm.{os.getpid()}.{random.randrange(2**32)}"
        self.made, self.unlinked = shared(WORKERS), shared(WORKERS)

    def start(self, rank: int) -> None:
        self.draws = random.Random(os.getpid())

    def counter(self) -> Counter:
        return Counter(1, name=f"{self.prefix}.{self.draws.randrange(COUNTERS)}")

    def count(self, rank: int) -> None:
        before = self.counter().next()
        assert before >= 1
        self.made[rank] += before == 1

    def unlink(self, rank: int) -> None:
        counter = self.counter()
        self.made[rank] += counter.next() == 1
        self.unlinked[rank] += counter.unlink()

    def use(self, rank: int) -> None:
        """Whoever made it, dead or alive, it is whole."""
        mutex: Any = Mutex("recover", name=f"{self.prefix}.mutex")
        with mutex:
            flag = AtomicBool(name=f"{self.prefix}.flag")
            flag.set_if(flag.is_set())
        table = GuardedTensor(torch.full([3000], 7), name=f"{self.prefix}.table")
        assert (table.snapshot() == 7).all()
        if self.draws.random() < 0.3:
            self.draws.choice([mutex, flag, table]).unlink()

    def check(self, ledger: Ledger) -> None:
        uncertain = 0
        for call in ("count", "unlink"):
            finished, begun = self.bounds(ledger, call)
            uncertain += begun - finished
        there = sum(path_of(f"{self.prefix}.{i}").exists() for i in range(COUNTERS))
        difference = int(self.made.sum() - self.unlinked.sum()) - there
        assert abs(difference) <= uncertain, difference
        self.start(0)
        self.use(0)
        self.clean()
        assert not [info for info in names.list_names() if self.prefix in info.name]

    def clean(self) -> None:
        for end in (*range(COUNTERS), "mutex", "flag", "table"):
            names.unlink_name(f"{self.prefix}.{end}")
