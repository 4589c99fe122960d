"""Batches that trainers draw from one another's pool, each exactly once per epoch."""

from __future__ import annotations

import sys
from types import FrameType

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from ._arguments import integer
from ._batch_plan import BatchPlan
from ._draws import Draws, Trainer
from ._shared import SharedObject
from ._shared_file import SHARED_BATCH_SAMPLER
from ._tickets import Tickets
from ._tickets_layout import MOST_EPOCH, words


class SharedBatchSampler(SharedObject, Sampler[list[int]]):
    """Deals the batches of each epoch to the trainers that ask, for ``DataLoader(batch_sampler=)``.

    Trainers, which are processes or threads, draw the next batch by an atomic ticket: whatever
    their speeds, each index is trained on exactly once per epoch, a fast trainer gets more, and
    nobody waits. The order of an epoch is the same everywhere, and is that in which
    DistributedSampler shuffles for the same seed and epoch. Send the sampler to other processes as
    an argument of a torch.multiprocessing process or through a queue; plain pickle and copy raise.

    **Epochs.** Every iteration of a trainer takes part in its next epoch, or in the one that
    ``set_epoch(epoch)`` says. An epoch can begin when all batches of the one before are drawn, or
    none. What is left of an epoch when a trainer leaves its loop early is for the others, or for
    its own next iteration. A trainer that comes when others have drawn the whole epoch gets
    nothing, and is warned if it did not call ``set_epoch``.

    **After a death.** A trainer that dies loses the batch that it was training on and those that
    its DataLoader had drawn ahead, ``prefetch + 1`` at most; :meth:`unfinished` lists them. A batch
    is done when its trainer comes back for more: for the next batch, for the next epoch, or for the
    end of its process without an exception.

    Args:
        n: the number of indices, ``len(dataset)``.
        batch_size: how many of them a batch has; the last may have fewer.
        shuffle: whether each epoch has an order of its own.
        seed: what the order depends on, beside the epoch.
        drop_last: leave out a last batch that is not full.
        prefetch: ``num_workers * prefetch_factor`` of this trainer's DataLoader, where
            prefetch_factor is 2 unless it is given; 0 without workers. A DataLoader that draws
            further ahead is refused. With a larger number, batches that are done are listed as
            unfinished. Each trainer may set the attribute to its own before it iterates.
        name: attach to the sampler of this name, which is **where its trainers are**, or create it
            if there is none: for processes of one user on one host that have no common parent. All
            must give the same five arguments. It stays in /dev/shm until :meth:`unlink`.

    Raises:
        TypeError, ValueError: if an argument is of another type, or there would be no batch or more
            than 2**27; if ``name`` is not 1 to 200 characters of ``A-Z a-z 0-9 . _ -``.
        RuntimeError: if ``name`` means something else than a sampler with these arguments.

    Example:
        >>> sampler = SharedBatchSampler(10, 4, shuffle=False)
        >>> list(sampler), len(sampler)
        ([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]], 3)
        >>> mine, other = iter(sampler), iter(sampler)
        >>> next(mine), next(other), next(other)
        ([0, 1, 2, 3], [4, 5, 6, 7], [8, 9])
        >>> sampler
        SharedBatchSampler(epoch 1, 3 of 3 batches drawn)
    """

    _kind = SHARED_BATCH_SAMPLER
    _LOCAL = SharedObject._LOCAL | {"_tickets", "_trainer", "_cached"}

    def __init__(
        self,
        n: int,
        batch_size: int,
        shuffle: bool = True,
        seed: int = 0,
        *,
        drop_last: bool = False,
        prefetch: int = 0,
        name: str | None = None,
    ) -> None:
        self._plan = BatchPlan.checked(n, batch_size, shuffle, seed, drop_last)
        self.prefetch = integer("SharedBatchSampler: prefetch", prefetch, 0)
        settings = self._plan.settings
        self._kind = SHARED_BATCH_SAMPLER.sized(words(self._plan.batches), settings)

        def fill(memory: Tensor) -> None:
            memory[: len(settings)] = torch.tensor([value for _, value in settings], device="cpu")

        self._obtain(name, None, fill)
        # Where a thread begins that neither says nor has been here.
        self._epoch, self._asked = self._tickets.now()[0], False

    def _bind(self, address: int, nbytes: int, /) -> None:
        self._tickets = Tickets(self._tensor)
        self._trainer = Trainer()
        self._cached: tuple[int, Tensor] | None = None

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

    def unfinished(self, epoch: int | None = None, *, live: bool = False) -> list[list[int]]:
        """Return the batches that dead trainers drew and are not known to have done.

        Those that somebody left behind in a loop or a thread, and does not train on any more, are
        among them when the process has ended. A process in another pid namespace (container)
        counts as dead, because it cannot be told: ask when those have ended.

        Args:
            epoch: the current one by default, which is the last that a batch was drawn of; or the
                one before it. Earlier ones are forgotten.
            live: list the batches in the hands of live processes as well.

        Raises:
            TypeError, ValueError: if ``epoch`` is neither.
        """
        self._check_not_moved()
        if epoch is None:
            epoch = self._tickets.now()[0]
        ask = self._tickets.unfinished if live else self._tickets.lost
        draws = ask(integer("unfinished: epoch", epoch, 0, MOST_EPOCH))
        order = self._order(epoch)
        return [self._plan.batch(order, draw.position) for draw in draws]

    def __repr__(self) -> str:
        epoch, position = self._tickets.now()
        return f"SharedBatchSampler(epoch {epoch}, {position} of {len(self)} batches drawn)"

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


def _what_is_wrong(sampler: SharedBatchSampler, caller: FrameType) -> str | None:
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
