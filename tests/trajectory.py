"""Steps of one gradient, of which a parameter's element and its moments are functions of how many.

So that a torn step shows, whoever made it: whatever the order of the workers, element and moments
are those of a number of steps, in float64 exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from steppers import Stepper
from torch import Tensor

_GRADIENT = {"sgd": 1.0, "adagrad": 1.0, "adam": 2.0**20}
_OPTIONS: dict[str, dict[str, Any]] = {
    # The buffer counts the steps, the parameter sums the buffers.
    "sgd": {"lr": 1, "momentum": 1},
    # The sum counts the steps; the parameter sums 1 / sqrt(count).
    "adagrad": {"lr": 1, "eps": 0},
    # The first moment is the last gradient alone, in which the weight decay has the parameter; the
    # second is its square.
    "adam": {"lr": 1, "betas": (0.0, 0.0), "eps": 0, "weight_decay": 1},
}


def _after_sgd(most: int) -> Iterator[tuple[float, ...]]:
    return ((-n * (n + 1) / 2, float(n)) for n in range(most + 1))


def _after_adagrad(most: int) -> Iterator[tuple[float, ...]]:
    param = 0.0
    for n in range(most + 1):
        param -= 1 / math.sqrt(n) if n else 0
        yield param, float(n)


def _after_adam(most: int) -> Iterator[tuple[float, ...]]:
    yield 0.0, 0.0, 0.0
    for n in range(1, most + 1):
        first = _GRADIENT["adam"] - (n - 1)
        yield -float(n), first, first * first


_AFTER = {"sgd": _after_sgd, "adagrad": _after_adagrad, "adam": _after_adam}
KINDS = list(_AFTER)


@dataclass
class Trajectory:
    """Parameters of zeros, that several workers step at once."""

    kind: str
    stepper: Stepper
    grads: list[Tensor]

    @staticmethod
    def of(kind: str, bank: Tensor, sizes: list[int]) -> Trajectory:
        params = [torch.zeros(n, dtype=torch.float64).share_memory_() for n in sizes]
        grads = [torch.full_like(param, _GRADIENT[kind]) for param in params]
        return Trajectory(kind, Stepper(kind, params, _OPTIONS[kind], bank), grads)

    def step(self) -> None:
        self.stepper.step(self.grads)

    @property
    def tensors(self) -> list[Tensor]:
        """The parameters, then the moments of one kind after the other."""
        return [*self.stepper.params, *(each for kind in self.stepper.moments for each in kind)]

    def like(self) -> list[Tensor]:
        return [torch.empty_like(each) for each in self.tensors]

    def torn(self, tensors: list[Tensor]) -> Tensor:
        """Return where an element and its moments are those of no number of steps that were."""
        count, most = len(self.stepper.params), int(self.stepper.steps.max())
        kinds = [torch.cat(tensors[at : at + count]) for at in range(0, len(tensors), count)]
        table = torch.tensor(list(_AFTER[self.kind](most)), dtype=torch.float64)
        # Parameters fall with each step.
        order = table[:, 0].flip(0).contiguous()
        number = most - torch.searchsorted(order, kinds[0]).clamp_(max=most)
        return torch.stack([table[number, k] != each for k, each in enumerate(kinds)]).any(0)

    def is_after(self, n: int) -> bool:
        *_, expected = _AFTER[self.kind](n)
        count = len(self.stepper.params)
        return all(
            each.eq(expected[k // count]).all().item() for k, each in enumerate(self.tensors)
        )
