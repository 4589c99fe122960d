"""Three ways for workers to share the weights of one network: what hogwild_digits.py compares.

Beside the weights each way keeps a ledger: one number per weight, and every update of a weight
adds 1 to its number, by the same kind of addition. So the ledger shows which updates were lost.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import torch
from _screen import ATOMIC, LOCKED, RACY
from _workers import context_of
from torch import Tensor, nn

import caffe2op_atomics as atomics


class Way(ABC):
    """Deals out mini-batches, updates weights and counts the steps, for all workers.

    Attributes:
        ledger: a tensor for each of the weights, of the same shape and of numbers as wide, so
            that writes to it meet as those to the weights do.
    """

    def __init__(self, weights: Iterable[nn.Parameter], rate: float, start_method: str) -> None:
        self._weights = list(weights)
        self._rate = rate
        self.ledger = [
            torch.zeros(weight.shape, dtype=torch.int32).share_memory_() for weight in self._weights
        ]

    @abstractmethod
    def next_ticket(self) -> int:
        """Return the number of the next mini-batch."""

    @abstractmethod
    def update(self, gradients: Sequence[Tensor]) -> None:
        """Make a step against the gradients, and note it in the ledger."""

    @abstractmethod
    def steps(self) -> int:
        """Return how many steps were noted."""


class Racy(Way):
    """Shares through torch alone."""

    def __init__(self, weights: Iterable[nn.Parameter], rate: float, start_method: str) -> None:
        super().__init__(weights, rate, start_method)
        self._tickets = torch.zeros(1, dtype=torch.int64).share_memory_()
        self._steps = torch.zeros(1, dtype=torch.int64).share_memory_()

    def next_ticket(self) -> int:
        ticket = int(self._tickets[0])
        self._tickets[0] = ticket + 1
        return ticket

    def update(self, gradients: Sequence[Tensor]) -> None:
        for weight, gradient, entries in zip(self._weights, gradients, self.ledger, strict=True):
            # Through .data, or the backward of another thread would call its weights modified.
            weight.data.add_(gradient, alpha=-self._rate)
            entries += 1
        self._steps[0] += 1

    def steps(self) -> int:
        return int(self._steps[0])


class Locked(Racy):
    """Shares through torch, and one lock."""

    def __init__(self, weights: Iterable[nn.Parameter], rate: float, start_method: str) -> None:
        super().__init__(weights, rate, start_method)
        self._lock = context_of(start_method).Lock()

    def next_ticket(self) -> int:
        with self._lock:
            return super().next_ticket()

    def update(self, gradients: Sequence[Tensor]) -> None:
        with self._lock:
            super().update(gradients)


class Guarded(Way):
    """Shares through this package: tickets, an optimizer, guarded tensors."""

    def __init__(self, weights: Iterable[nn.Parameter], rate: float, start_method: str) -> None:
        super().__init__(weights, rate, start_method)
        self._optimizer = atomics.optim.SGD(self._weights, lr=rate)
        self._entries = [atomics.GuardedTensor(entries) for entries in self.ledger]
        self._ones = [torch.ones((), dtype=torch.int32)] * len(self._entries)
        self._tickets = atomics.Counter()
        self._steps = atomics.Counter()

    def next_ticket(self) -> int:
        return self._tickets.next()

    def update(self, gradients: Sequence[Tensor]) -> None:
        # As a list, because threads share the weights' grad; processes may call backward().
        self._optimizer.step(grads=gradients)
        atomics.foreach_add_(self._entries, self._ones)
        self._steps += 1

    def steps(self) -> int:
        return self._steps.value


WAYS: dict[str, type[Way]] = {RACY: Racy, LOCKED: Locked, ATOMIC: Guarded}
