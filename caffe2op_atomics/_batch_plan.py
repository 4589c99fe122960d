"""Which indices the batches of an epoch hold: the same in every process, and nothing is shared."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ._arguments import integer
from ._tickets_layout import MOST_BATCHES, SETTINGS, batches_of


@dataclass(frozen=True)
class BatchPlan:
    """How ``n`` indices are cut into batches."""

    n: int
    batch_size: int
    shuffle: bool
    seed: int
    drop_last: bool

    @classmethod
    def checked(
        cls, n: object, batch_size: object, shuffle: object, seed: object, drop_last: object
    ) -> BatchPlan:
        """Return a plan of at least one batch.

        Raises:
            TypeError, ValueError: if there is none with these arguments.
        """
        of = "SharedBatchSampler: "
        for name, flag in (("shuffle", shuffle), ("drop_last", drop_last)):
            if not isinstance(flag, bool):
                raise TypeError(f"{of}{name} must be a bool, got {type(flag).__name__}")
        plan = cls(
            integer(of + "n", n, 1),
            integer(of + "batch_size", batch_size, 1),
            bool(shuffle),
            integer(of + "seed", seed, -(2**63)),
            bool(drop_last),
        )
        if not 1 <= plan.batches <= MOST_BATCHES:
            raise ValueError(
                f"{of}n and batch_size must make 1 to {MOST_BATCHES} batches, got {plan.batches}"
            )
        return plan

    @property
    def batches(self) -> int:
        """The number of batches of an epoch."""
        return batches_of(self.n, self.batch_size, self.drop_last)

    @property
    def settings(self) -> tuple[tuple[str, int], ...]:
        """The arguments as numbers."""
        return tuple((name, int(getattr(self, name))) for name in SETTINGS)

    def order(self, epoch: int) -> Tensor:
        """Return all indices in the order of an epoch, as DistributedSampler shuffles them."""
        if not self.shuffle:
            return torch.arange(self.n, device="cpu")
        generator = torch.Generator().manual_seed(self.seed + epoch)
        return torch.randperm(self.n, generator=generator, device="cpu")

    def batch(self, order: Tensor, position: int) -> list[int]:
        """Return the indices of one batch."""
        begin = position * self.batch_size
        return order[begin : begin + self.batch_size].tolist()
