"""Epochs of batches that are dealt to those who ask: what SharedBatchSampler needs to know.

An epoch begins when all batches of the one before are drawn, or none, and only later ones follow.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple


class Draw(NamedTuple):
    """A batch that was drawn, and the number of who drew it."""

    epoch: int
    position: int
    holder: int


class Deal(ABC):
    """Where the epochs and their batches are kept."""

    batches: int  # of an epoch

    @abstractmethod
    def now(self) -> tuple[int, int]:
        """Return the epoch and how many of its batches are drawn."""

    @abstractmethod
    def begin(self, epoch: int) -> None:
        """Begin ``epoch`` unless it, or a later one, has begun.

        Raises:
            RuntimeError: if another one is in the middle.
        """

    @abstractmethod
    def draw(self, epoch: int) -> Draw | None:
        """Draw a batch, or return None if ``epoch``, which has begun, has none left."""

    @abstractmethod
    def finish(self, draw: Draw) -> None:
        """Record that a batch is done."""

    def is_over(self, epoch: int) -> bool:
        """Return whether ``epoch`` has no batch left."""
        return self.now() >= (epoch, self.batches)

    def check_may_begin(self, epoch: int) -> None:
        """Check that no other epoch than ``epoch`` is in the middle, unless it is a later one.

        Raises:
            RuntimeError: if one is.
        """
        current, position = self.now()
        if current < epoch and 0 < position < self.batches:
            raise RuntimeError(
                f"SharedBatchSampler: epoch must be {current} until all its batches are drawn, "
                f"got {epoch} when {position} of {self.batches} were"
            )
