"""Batches dealt by ticket through a store: the protocol of SharedBatchSampler over its keys.

::

    epoch        the current one, a number that only grows
    drawn.E      how often batches of epoch E were asked for, more often than there are; or CLOSED
    done.E.W     bit b: batch W * 62 + b of epoch E is done

Whoever adds 1 to ``drawn.E`` has drawn the batch of that number. An epoch is left when all of it
is drawn or when it is closed, which succeeds only while nobody has drawn of it; who comes for one
that is not the current one any more finds it closed, or closes it. So nobody draws of two epochs
at once. A batch is done once, so that adding its bit sets it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from .._deal import Deal, Draw
from ._link import Link, StoreDiedError

_CLOSED = 2**60  # more than there are batches, and than anybody will ask for
_BITS = 62


class StoreTickets(Deal):
    """The keys of one object."""

    def __init__(self, link: Link, key: str, batches: int) -> None:
        self._link, self._key, self.batches = link, key, batches
        self._call("compare_set", "epoch", "", "0")

    def now(self) -> tuple[int, int]:
        """Return the epoch and how many of its batches are drawn."""
        epoch = self._get("epoch")
        return epoch, min(self._get(f"drawn.{epoch}"), self.batches)

    def begin(self, epoch: int) -> None:
        while True:
            current = self._get("epoch")
            if current >= epoch:
                if current > epoch:
                    self._close(epoch)
                return
            if self._close(current) < self.batches:
                self.check_may_begin(epoch)
                continue  # it has been drawn to its end meanwhile
            moved: bytes = self._call("compare_set", "epoch", str(current), str(epoch))
            if int(moved) == epoch:  # by whomever; otherwise the next look tells where it is
                self._forget(current, epoch)

    def draw(self, epoch: int) -> Draw | None:
        position = self._call("add", f"drawn.{epoch}", 1) - 1
        return Draw(epoch, position, os.getpid()) if position < self.batches else None

    def finish(self, draw: Draw) -> None:
        """Record that a batch is done, unless the store is dead, as the next draw will tell."""
        if draw.holder == os.getpid():  # a forked child has a copy of what its parent will finish
            word, bit = divmod(draw.position, _BITS)
            with suppress(StoreDiedError):
                self._call("add", f"done.{draw.epoch}.{word}", 1 << bit)

    def unfinished(self, epoch: int) -> list[Draw]:
        """Return each batch that was drawn and is not known to be done, in the order of drawing.

        Raises:
            ValueError: if the records of that epoch are not there, or not any more.
        """
        asked = self._get(f"drawn.{epoch}")
        drawn = min(asked, self.batches) if asked < _CLOSED else 0
        done = [self._get(f"done.{epoch}.{word}") for word in range(_words(drawn))]
        current, _ = self.now()  # after the records were read
        if not current - 1 <= epoch <= current:
            raise ValueError(f"unfinished: epoch must be {current}, or the one before, got {epoch}")
        return [
            Draw(epoch, position, 0)
            for position in range(drawn)
            if not done[position // _BITS] >> position % _BITS & 1
        ]

    def _close(self, epoch: int) -> int:
        """Close an epoch of which nothing is drawn; return how often it was asked for batches."""
        return int(self._call("compare_set", f"drawn.{epoch}", "", str(_CLOSED)))

    def _forget(self, left: int, new: int) -> None:
        """Delete the records of the epochs before the one before ``new``."""
        for epoch in {left - 1, left} - {-1, new - 1}:
            for word in range(_words(self.batches)):
                self._call("delete_key", f"done.{epoch}.{word}")

    def _get(self, key: str) -> int:
        return int(self._link.read(f"{self._key}/{key}") or 0)

    def _call(self, method: str, key: str, *args: object) -> Any:
        return self._link.call(method, f"{self._key}/{key}", *args)


def _words(batches: int) -> int:
    return -(-batches // _BITS)
