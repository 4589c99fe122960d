"""What a storm keeps account with: begun and finished calls, and what the dead held."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

WORKERS = 8


def shared(*shape: int, dtype: torch.dtype = torch.int64) -> Tensor:
    return torch.zeros(shape, dtype=dtype).share_memory_()


class Ledger:
    """How many calls of each kind each worker began and finished; outlives the workers."""

    def __init__(self, calls: Sequence[str]) -> None:
        self.calls = list(calls)
        memory = memoryview(mmap.mmap(-1, 16 * WORKERS * len(calls)))
        self._words = memory.cast("q", [WORKERS, len(calls), 2])

    def begin(self, rank: int, call: int) -> None:
        self._words[rank, call, 0] += 1

    def finish(self, rank: int, call: int) -> None:
        self._words[rank, call, 1] += 1

    def bounds(self, call: str) -> tuple[int, int]:
        """How many were finished, and how many were begun, by all workers."""
        at = self.calls.index(call)
        begun, finished = (
            sum(self._words[rank, at, word] for rank in range(WORKERS)) for word in (0, 1)
        )
        return finished, begun

    def of(self, rank: int) -> dict[str, tuple[int, int]]:
        """How many calls a worker and those that it replaced finished and began."""
        return {
            call: (self._words[rank, at, 1], self._words[rank, at, 0])
            for at, call in enumerate(self.calls)
        }


class Subject:
    """What the workers work on. A worker has an object of its own, over the same memory."""

    calls: ClassVar[tuple[str, ...]]  # names of methods, which take the rank of the worker
    often: ClassVar[int] = 10  # they are called, as compared with others
    banks: Sequence[Tensor] = ()  # the mutexes in it

    def start(self, rank: int) -> None:
        """Prepare a new worker."""

    def check(self, ledger: Ledger) -> None:
        """Assert, when all workers have ended, that everything is accounted for."""
        raise NotImplementedError

    def clean(self) -> None:
        """Remove what would be left, also of a storm that failed."""

    def bounds(self, ledger: Ledger, call: str) -> tuple[int, int]:
        return ledger.bounds(f"{type(self).__name__}.{call}")


@dataclass
class Deaths:
    """What the workers that were stopped before they were killed held of a bank."""

    bank: Tensor
    held: int = 0  # for sure
    unsure: int = 0  # of a mutex whose last holder had died too, which was counted or not yet
    torn: int = 0

    def of(self, pid: int) -> tuple[int, int, int]:
        """Return what a stopped process holds, by the fields of glibc and csrc/cpu/mutex/slot.h:

        so many mutexes for sure, so many unsure, and in so many of them it is in a step.
        """
        slots = self.bank.view(-1, 128)
        word, _, owner = slots[:, 64:76].contiguous().view(torch.int32).unbind(1)
        mine = (word & 0x3FFFFFFF) == pid
        sure = mine & ((owner == pid) | (owner == 0))
        in_step = mine & (owner == pid) & (slots[:, 112] % 2 == 1)
        return int(sure.sum()), int((mine & ~sure).sum()), int(in_step.sum())

    def note(self, pid: int) -> None:
        """Add what a stopped process holds, which is killed now."""
        held, unsure, torn = self.of(pid)
        self.held += held
        self.unsure += unsure
        self.torn += torn

    def check(self, unseen: int) -> tuple[int, int]:
        """Assert that so many deaths were counted, if ``unseen`` workers were killed as they ran.

        Return how many deaths while holding, and how many torn stripes, were counted.
        """
        recoveries, torn = torch.ops.atomics.mutex_recoveries(self.bank)
        most = self.held + self.unsure + unseen * len(self.bank.view(-1, 128))
        assert self.held <= recoveries <= most, (self.held, recoveries, most)
        assert self.torn <= torn <= self.torn + unseen, (self.torn, torn)
        return recoveries, torn
