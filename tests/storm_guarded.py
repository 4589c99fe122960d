"""What the workers of a storm share under banks of mutexes: tables, and optimizers."""

from __future__ import annotations

import math
from typing import Any

import torch
from storm_account import WORKERS, Ledger, Subject, shared
from torch import Tensor

from caffe2op_atomics import GuardedTensor, optim

I64, F64 = torch.int64, torch.float64
STRIPE = 16384 // 8  # elements of them


def stripes_with(bad: Tensor) -> Tensor:
    return bad.view(-1, STRIPE).any(dim=1).nonzero().flatten()


def uneven(numbers: Tensor) -> Tensor:
    """Which differ from the first of their stripe."""
    return (numbers.view(-1, STRIPE) != numbers.view(-1, STRIPE)[:, :1]).flatten()


class Sums(Subject):
    calls = ("add", "look")

    def __init__(self) -> None:
        self.sums = GuardedTensor([2**18])
        self.banks = [self.sums._bank]

    def start(self, rank: int) -> None:
        self.ones, self.before = torch.ones(2**18), torch.zeros(2**18)

    def add(self, rank: int) -> None:
        self.sums.add_(self.ones)

    def look(self, rank: int) -> None:
        now = self.sums.snapshot()
        assert (now >= self.before).all()
        self.before = now

    def check(self, ledger: Ledger) -> None:
        finished, begun = self.bounds(ledger, "add")
        least, most = self.sums.snapshot().aminmax()
        assert finished <= least <= most <= begun


class Counts(Subject):
    calls = ("add",)

    def __init__(self) -> None:
        self.counts = GuardedTensor([5000], dtype=I64)
        self.banks = [self.counts._bank]

    def start(self, rank: int) -> None:
        self.index = torch.arange(5000).repeat(4)

    def add(self, rank: int) -> None:
        self.counts.index_add_(0, self.index, 1)

    def check(self, ledger: Ledger) -> None:
        finished, begun = self.bounds(ledger, "add")
        counts = self.counts.snapshot()
        # What a call adds to an element it adds at once.
        assert (counts % 4 == 0).all()
        assert (counts >= 4 * finished).all()
        assert (counts <= 4 * begun).all()


class Tokens(Subject):
    """Of each element one worker has one token, all different, and swaps it for what is there."""

    calls = ("swap",)

    def __init__(self) -> None:
        self.pot = GuardedTensor([20_000], dtype=I64)
        self.hands, self.minted, self.swapping = shared(WORKERS, 20_000), shared(WORKERS), shared(8)
        self.hands += torch.arange(1, WORKERS + 1).unsqueeze(1)
        self.banks = [self.pot._bank]

    def start(self, rank: int) -> None:
        if self.swapping[rank]:  # who knows what the dead one had in hand: new tokens
            self.minted[rank] += 1
            self.hands[rank] = WORKERS * self.minted[rank] + rank + 1
            self.swapping[rank] = 0

    def swap(self, rank: int) -> None:
        self.swapping[rank] = 1
        self.hands[rank] = self.pot.exchange(self.hands[rank])
        self.swapping[rank] = 0

    def check(self, ledger: Ledger) -> None:
        assert not self.swapping.any()
        tokens = torch.cat([self.hands, self.pot.snapshot().unsqueeze(0)]).sort(dim=0).values
        assert (tokens[1:] > tokens[:-1]).all()  # none is in two places


class Versions(Subject):
    """Each call stores a number of its own."""

    calls = ("store",)

    def __init__(self) -> None:
        self.table = GuardedTensor([20_000], dtype=I64)
        self.begun, self.finished = shared(WORKERS), shared(WORKERS)
        self.banks = [self.table._bank]

    def store(self, rank: int) -> None:
        self.begun[rank] += 1
        version = int(self.begun[rank])
        self.table.store_(WORKERS * version + rank)
        self.finished[rank] = version

    def check(self, ledger: Ledger) -> None:
        table = self.table.snapshot()
        rank, version = table % WORKERS, table // WORKERS
        # A later one of the same worker would have overwritten it.
        assert (version >= self.finished[rank]).all()
        assert (version <= self.begun[rank]).all()


class Sgd(Subject):
    """After k steps of gradients of 1 the buffer is k, and the weight -k (k + 1) / 2."""

    calls = ("step", "look")

    def __init__(self) -> None:
        self.weight = torch.nn.Parameter(shared(2**18, dtype=F64))
        self.optimizer: Any = self.make()
        self.banks = [self.optimizer._memory.bank]

    def make(self) -> Any:
        return optim.SGD([self.weight], lr=1, momentum=1)

    def start(self, rank: int) -> None:
        self.weight.grad = torch.ones_like(self.weight)
        self.local = torch.empty_like(self.weight)

    def step(self, rank: int) -> None:
        self.optimizer.step()

    def look(self, rank: int) -> None:
        self.optimizer.snapshot([self.local])

    def steps(self) -> tuple[Tensor, Tensor]:
        """How many steps each element has seen, by two of its numbers."""
        buffer = self.optimizer.state_dict()["state"][0]["momentum_buffer"]
        # k (k + 1) / 2 of another number is wrong by half a step at least.
        by_weight = ((1 - 8 * self.weight.detach()).sqrt() - 1) / 2
        return buffer.round().to(I64), by_weight.round().to(I64)

    def check(self, ledger: Ledger) -> None:
        finished, begun = self.bounds(ledger, "step")
        one, other = self.steps()
        for steps in (one, other):
            assert (steps >= finished).all()
            assert (steps <= begun).all()
        # A step that was cut short leaves a stripe in which it was applied to the first elements
        # only, and perhaps to some by half: the mutexes of such stripes counted it.
        counted = self.banks[0].view(-1, 128)[:, 112:120].contiguous().view(I64).flatten() // 2
        torn = stripes_with((one != other) | uneven(one) | uneven(self.weight.detach()))
        assert (counted[torn % len(counted)] > 0).all()


class Adam(Sgd):
    """Moments forget so slowly that they tell how many steps they have seen."""

    BETA = 1 - 2**-13

    def make(self) -> Any:
        return optim.Adam([self.weight], lr=1e-3, betas=(self.BETA, self.BETA))

    def steps(self) -> tuple[Tensor, Tensor]:
        state = self.optimizer.state_dict()["state"][0]
        one, other = (
            ((-state[name]).log1p() / math.log(self.BETA)).round().to(I64)
            for name in ("exp_avg", "exp_avg_sq")
        )
        return one, other
