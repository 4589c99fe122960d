"""Batches that trainers draw from one another's pool, each exactly once per epoch."""

from __future__ import annotations

import torch
from torch import Tensor

from ._dealing import DealingSampler
from ._shared import SharedObject
from ._shared_file import SHARED_BATCH_SAMPLER
from ._tickets import Tickets
from ._tickets_layout import words


class SharedBatchSampler(SharedObject, DealingSampler):
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
    _tickets: Tickets
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
        self._plan_batches(n, batch_size, shuffle, seed, drop_last, prefetch)
        settings = self._plan.settings
        self._kind = SHARED_BATCH_SAMPLER.sized(words(self._plan.batches), settings)

        def fill(memory: Tensor) -> None:
            memory[: len(settings)] = torch.tensor([value for _, value in settings], device="cpu")

        self._obtain(name, None, fill)
        self._start_here()

    def _bind(self, address: int, nbytes: int, /) -> None:
        self._tickets = Tickets(self._tensor)
        self._take_part()

    def _check_may_draw(self) -> None:
        self._check_not_moved()

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
        return self._batches_of(epoch, self._tickets.unfinished if live else self._tickets.lost)
