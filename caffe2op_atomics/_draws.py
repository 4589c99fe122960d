"""One iteration over a SharedBatchSampler, which concludes from its calls what the trainer did.

What it relies on of torch's DataLoader, which draws ``prefetch`` batches ahead: it calls next()
that often before it hands out the first batch, and once more right before it hands out each, also
after the end of the epoch. So at call number c the trainer has come back for more after batch
c - prefetch - 1. Without workers ``prefetch`` is 0, and the call that ends the iteration follows
the last batch; with them no call does.
"""

from __future__ import annotations

import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from . import _good_exit
from ._deal import Deal, Draw

if TYPE_CHECKING:
    from ._dealing import DealingSampler


class Trainer(threading.local):
    """What a thread did with a sampler, and will do next."""

    epoch: int | None = None  # that it takes part in next; None if it never did or said
    asked = False  # whether set_epoch said so
    left_early = False  # whether it drew in that epoch before
    ended = -1  # the last epoch that it saw the end of
    last: Callable[[], object] | None = None  # finishes the batch that it was handed last

    def come_back(self) -> None:
        """Note that the thread wants more, and has therefore done what it was handed."""
        if self.last is not None:
            self.last()
            _good_exit.remove(self.last)
            self.last = None

    def hand_last(self, deal: Deal, draw: Draw) -> None:
        """Note that no call will tell when the thread has done ``draw``, but the next iteration."""
        self.last = partial(deal.finish, draw)
        _good_exit.add(self.last)

    def end(self, epoch: int) -> None:
        """Note that the thread has seen the end of an epoch."""
        self.epoch, self.asked, self.left_early, self.ended = epoch + 1, False, False, epoch


class Draws(Iterator[list[int]]):
    """The batches that one iteration draws."""

    def __init__(self, sampler: DealingSampler, wrong: str | None) -> None:
        self._sampler = sampler
        # Raised at the first draw: DataLoader cannot clean up after an error in iter() alone.
        self._wrong = wrong
        self._prefetch = sampler.prefetch
        self._calls = 0
        self._held: deque[Draw] = deque()  # drawn, and not known to be done
        self._ended = False

    def __next__(self) -> list[int]:
        sampler = self._sampler
        sampler._check_may_draw()
        if self._wrong:
            raise ValueError(f"SharedBatchSampler: {self._wrong}")
        if self._calls == 0:  # not before: DataLoader makes iterators that it does not use
            self._epoch, self._order = sampler._join()
        self._calls += 1
        if self._calls > self._prefetch + 1 and self._held:
            sampler._tickets.finish(self._held.popleft())
        draw = None if self._ended else sampler._tickets.draw(self._epoch)
        if draw is None:
            self._end()
            raise StopIteration
        self._held.append(draw)
        return sampler._plan.batch(self._order, draw.position)

    def _end(self) -> None:
        trainer = self._sampler._trainer
        if not self._ended:
            self._ended = True
            if self._calls == 1 and not trainer.asked:
                _warn_of_nothing(self._epoch)
            trainer.end(self._epoch)
        if len(self._held) == 1 and self._calls > self._prefetch:  # it is being handed out
            trainer.hand_last(self._sampler._tickets, self._held[0])


def _warn_of_nothing(epoch: int) -> None:
    warnings.warn(
        f"SharedBatchSampler: others drew all of epoch {epoch} before this trainer began with it, "
        "which therefore gets no batch; set_epoch(epoch) says which epoch is meant",
        stacklevel=4,
    )
