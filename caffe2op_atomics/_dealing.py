"""A sampler over a deal of batches, wherever that is kept: its epochs, and its iterators."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from types import FrameType

from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from ._arguments import integer
from ._batch_plan import BatchPlan
from ._deal import Deal, Draw
from ._draws import Draws, Trainer
from ._tickets_layout import MOST_EPOCH


class DealingSampler(Sampler[list[int]]):
    """What SharedBatchSampler is on one host and on several."""

    _tickets: Deal

    def _plan_batches(
        self,
        n: int,
        batch_size: int,
        shuffle: bool,
        seed: int,
        drop_last: bool,
        prefetch: int,
    ) -> None:
        self._plan = BatchPlan.checked(n, batch_size, shuffle, seed, drop_last)
        self.prefetch = integer("SharedBatchSampler: prefetch", prefetch, 0)

    def _take_part(self) -> None:
        """Forget what was done with another deal."""
        self._trainer = Trainer()
        self._cached: tuple[int, Tensor] | None = None

    def _start_here(self) -> None:
        """Note where a thread begins that neither says nor has been here."""
        self._epoch, self._asked = self._tickets.now()[0], False

    def _check_may_draw(self) -> None:
        """Raise where nothing may be drawn any more."""

    @property
    def batch_size(self) -> int:
        """How many indices a batch has."""
        return self._plan.batch_size

    @property
    def drop_last(self) -> bool:
        """Whether a last batch that is not full is left out."""
        return self._plan.drop_last

    @property
    def epoch(self) -> int:
        """The epoch that the calling thread's next iteration takes part in."""
        return self._epoch if self._trainer.epoch is None else self._trainer.epoch

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next iteration takes part in; a resumed job starts at any.

        It counts for the calling thread, for threads that have not drawn yet, and for processes
        that the sampler is sent to later.

        Raises:
            TypeError, ValueError: if it is not an integer from 0 to 2**25 - 1.
            RuntimeError: if this trainer has seen the end of that epoch or a later one, or if
                some but not all batches of an earlier one are drawn.
        """
        epoch = integer("set_epoch: epoch", epoch, 0, MOST_EPOCH)
        trainer = self._trainer
        if epoch <= trainer.ended:
            raise RuntimeError(
                f"set_epoch: epoch must be above {trainer.ended}, whose end this trainer has seen, "
                f"got {epoch}"
            )
        self._tickets.check_may_begin(epoch)
        self._epoch, self._asked = epoch, True
        trainer.epoch, trainer.asked, trainer.left_early = epoch, True, False

    def __len__(self) -> int:
        """Return the number of batches of an epoch, of which all trainers together draw each once.

        How many one of them gets, which DistributedSampler tells, nobody knows before.
        """
        return self._plan.batches

    def __iter__(self) -> Draws:
        """Return an iterator, which takes part in an epoch from its first draw on.

        That draw raises ValueError if ``prefetch`` is too small for the DataLoader that asks, or
        if this hands out batches in another order than it draws them.
        """
        return Draws(self, _what_is_wrong(self, sys._getframe(1)))

    def __repr__(self) -> str:
        return f"SharedBatchSampler({self._progress()})"

    def _progress(self) -> str:
        epoch, position = self._tickets.now()
        return f"epoch {epoch}, {position} of {len(self)} batches drawn"

    def _batches_of(
        self, epoch: int | None, ask: Callable[[int], Iterable[Draw]]
    ) -> list[list[int]]:
        """Return the batches of the draws that ``ask`` tells of, of the current epoch if None."""
        if epoch is None:
            epoch = self._tickets.now()[0]
        draws = ask(integer("unfinished: epoch", epoch, 0, MOST_EPOCH))
        order = self._order(epoch)
        return [self._plan.batch(order, draw.position) for draw in draws]

    def _order(self, epoch: int) -> Tensor:
        cached = self._cached
        if cached is None or cached[0] != epoch:
            self._cached = cached = epoch, self._plan.order(epoch)
        return cached[1]

    def _join(self) -> tuple[int, Tensor]:
        """Return the epoch, which has begun, that an iteration takes part in, and its order."""
        trainer = self._trainer
        trainer.come_back()
        if trainer.epoch is None:
            trainer.epoch, trainer.asked = self._epoch, self._asked
        if trainer.left_early and self._tickets.is_over(trainer.epoch):
            trainer.epoch += 1  # others drew what it left
        self._tickets.begin(trainer.epoch)
        trainer.left_early = True  # unless it sees the end
        return trainer.epoch, self._order(trainer.epoch)


def _what_is_wrong(sampler: DealingSampler, caller: FrameType) -> str | None:
    """Return why no batch may be drawn for the DataLoader that makes an iterator, if one does.

    Only the frame that asks knows it. Should torch change that, this check is lost and no more.
    """
    for loader in list(caller.f_locals.values()):
        if not isinstance(loader, DataLoader) or loader.batch_sampler is not sampler:
            continue
        ahead = loader.num_workers * (loader.prefetch_factor or 0)
        if sampler.prefetch < ahead:
            return (
                "prefetch must be num_workers x prefetch_factor of the DataLoader, which is "
                f"{ahead}, got {sampler.prefetch}"
            )
        if ahead and not getattr(loader, "in_order", True):
            return "in_order of the DataLoader must be True, got False"
    return None
