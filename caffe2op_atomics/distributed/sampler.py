"""Batches that trainers of several hosts draw, each exactly once per epoch."""

from __future__ import annotations

from torch._C._distributed_c10d import Store

from .._dealing import DealingSampler
from ._link import TIMEOUT
from ._object import StoreObject
from ._tickets import StoreTickets


class SharedBatchSampler(StoreObject, DealingSampler):
    """Deals the batches of each epoch to the trainers of all hosts, by ticket from a store.

    It is :class:`caffe2op_atomics.SharedBatchSampler`, with its epochs, its order and its
    ``prefetch``, over a store instead of shared memory: whatever the speeds of the trainers, each
    index is trained on exactly once per epoch. A batch takes two calls to the store, one to draw it
    and one to say that it is done. It works in the ``DataLoader(batch_sampler=)`` of each trainer,
    with workers, too, which do not touch the store.

    Args:
        n: the number of indices, ``len(dataset)``.
        batch_size: how many of them a batch has; the last may have fewer.
        shuffle: whether each epoch has an order of its own.
        seed: what the order depends on, beside the epoch.
        drop_last: leave out a last batch that is not full.
        prefetch: ``num_workers * prefetch_factor`` of this trainer's DataLoader.
        name: what it is found by, in this store. Who is first makes it, and all must give the same
            five arguments.
        store: a store of torch.distributed; that of the default process group if it is None.
        timeout: how many seconds the store has to answer in, better above 10 (docs/distributed.md).

    Raises:
        TypeError, ValueError: if an argument is not what
            :class:`caffe2op_atomics.SharedBatchSampler` takes.
        RuntimeError: if ``name`` means something else than a sampler with these arguments in this
            store, or there is no store.
        StoreDiedError: from every method and draw, if the store does not answer in time, and from
            then on.

    Example:
        >>> from torch.distributed import HashStore
        >>> sampler = SharedBatchSampler(10, 4, shuffle=False, name="batches", store=HashStore())
        >>> mine, other = iter(sampler), iter(sampler)
        >>> next(mine), next(other), next(other)
        ([0, 1, 2, 3], [4, 5, 6, 7], [8, 9])
        >>> sampler
        SharedBatchSampler(name='batches', epoch 0, 3 of 3 batches drawn)
    """

    _kind = "SharedBatchSampler"
    _tickets: StoreTickets

    def __init__(
        self,
        n: int,
        batch_size: int,
        shuffle: bool = True,
        seed: int = 0,
        *,
        name: str,
        drop_last: bool = False,
        prefetch: int = 0,
        store: Store | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self._plan_batches(n, batch_size, shuffle, seed, drop_last, prefetch)
        self._attach(name, store, timeout, self._plan.settings)
        self._tickets = StoreTickets(self._link, self._key, self._plan.batches)
        self._take_part()
        self._start_here()

    def unfinished(self, epoch: int | None = None) -> list[list[int]]:
        """Return the batches that were drawn and are not known to be done, whoever has them.

        Unlike the sampler of one host it lists those of live trainers, too: whether a process of
        another host lives, a store cannot tell. Ask when the trainers have ended, or have come
        back for the next epoch: what is listed then is what dead ones lost, ``prefetch + 1``
        batches each at most.

        Args:
            epoch: the current one by default, which is the last that a batch was drawn of; or the
                one before it. Earlier ones are forgotten.

        Raises:
            TypeError, ValueError: if ``epoch`` is neither.
            StoreDiedError: if the store does not answer.
        """
        return self._batches_of(epoch, self._tickets.unfinished)

    def _state(self) -> str:
        return self._progress()
