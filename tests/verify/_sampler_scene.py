"""Trainers that draw from a SharedBatchSampler, for the explorer: its code, over its real ops."""

from __future__ import annotations

import warnings
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import islice
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from _interleave import Actor, access, pid
from torch import Tensor

from caffe2op_atomics import SharedBatchSampler, _draws, _tickets, _tickets_layout
from caffe2op_atomics._shared import _reduce

_NAMESPACE, _START = 1, 7
_alive: set[int] = set()
_at_exit: dict[int, list[Callable[[], object]]] = defaultdict(list)


def watched(op: Callable[..., Any]) -> Callable[..., Any]:
    """Return an op of which each call is an access."""
    return lambda *arguments: access(lambda: op(*arguments))


def _load_all(words: Tensor) -> Tensor:
    """Load records one after the other, as the op promises no more; of a table, row by row."""
    parts = words if words.dim() > 1 else words.view(-1, 1)
    loaded = [access(part.tolist) for part in parts]
    return torch.tensor(loaded).view(words.shape)


def _is_alive(pid: int, start: int, namespace: int) -> bool | None:
    assert start == _START
    return access(lambda: pid in _alive) if namespace == _NAMESPACE else None


@contextmanager
def stopping(rows: int) -> Iterator[None]:
    """Have the sampler's code stop at each access, with a table of so many processes."""
    records = _tickets.HOLDERS + 2 * (rows + 1)
    processes = SimpleNamespace(myself=lambda: (pid(), _START, _NAMESPACE), is_alive=_is_alive)
    good_exit = SimpleNamespace(
        add=lambda call: _at_exit[pid()].append(call),
        remove=lambda call: _at_exit[pid()].remove(call),
    )
    with ExitStack() as stack:
        for module, name, value in (
            (_tickets_layout, "RECORDS", records),
            (_tickets, "RECORDS", records),
            (_tickets, "os", SimpleNamespace(getpid=pid)),
            (_tickets, "_processes", processes),
            (_draws, "_good_exit", good_exit),
            (_tickets, "_load_all", _load_all),
            *(
                (_tickets, op, watched(getattr(_tickets, op)))
                for op in ("_load", "_store", "_compare_exchange", "_max")
            ),
        ):
            stack.enter_context(patch.object(module, name, value))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # who comes late gets no batch
        yield


def handed_out(sampler: SharedBatchSampler) -> Iterator[list[int]]:
    """Return what torch's DataLoader hands out, which draws so many batches ahead."""
    draws, ahead = iter(sampler), deque[list[int]]()
    if not sampler.prefetch:
        yield from draws
    for _ in range(sampler.prefetch):
        ahead.extend(islice(draws, 1))
    while ahead:
        ahead.extend(islice(draws, 1))
        yield ahead.popleft()


class Trainers:
    """Trainers that train on all they can draw of some epochs; one more may ask meanwhile."""

    def __init__(
        self,
        batches: int,
        epochs: Sequence[int] = (1, 1),
        *,
        prefetch: int = 0,
        exits: bool = False,
        asks: bool = False,
        threads: bool = False,
        enter: bool = False,
    ) -> None:
        """Have one trainer for each number of epochs.

        Args:
            batches: of an epoch.
            epochs: how many each trainer takes part in.
            prefetch: how far its DataLoader draws ahead.
            exits: whether its process ends when it has no more to do.
            asks: whether another process asks for what is unfinished of the first epoch.
            threads: whether the first two are threads of one process.
            enter: whether they have to enter the table first, which takes many accesses.
        """
        self._sampler = SharedBatchSampler(batches, 1, shuffle=False, prefetch=prefetch)
        self._words = self._sampler.tensor
        self._epochs, self._exits, self._asks = epochs, exits, asks
        self._threads, self._enter = threads, enter
        self.actors: list[Actor] = []

    def __call__(self) -> Trainers:
        """Begin again."""
        self._words[_tickets.TICKET :] = 0
        count = len(self._epochs)
        self._trained: list[list[tuple[int, int]]] = [[] for _ in range(count)]
        self._asked: tuple[bool, int, set[int]] | None = None
        self._refused = False
        _at_exit.clear()
        samplers = [self._arrived() for _ in range(count)]
        pids = list(range(1, count + 1))
        if self._threads:
            samplers[1], pids[1] = samplers[0], pids[0]
        if not self._enter:
            for its, sampler in zip(pids, samplers, strict=True):
                row = sampler._tickets._holders[its]
                row[0], row[1] = _tickets_layout.pack_process(its, _START), _NAMESPACE
                sampler._tickets._holder = its, its
        self.actors = [
            Actor(its, partial(self._train, number, sampler))
            for number, (its, sampler) in enumerate(zip(pids, samplers, strict=True))
        ]
        if self._asks:
            self.actors.append(Actor(count + 1, self._ask))
        _alive.clear()
        _alive.update(each.pid for each in self.actors)
        return self

    def _arrived(self) -> SharedBatchSampler:
        """Return the sampler as it arrives in another process."""
        rebuild, arguments = _reduce(self._sampler)
        return rebuild(*arguments)

    def _train(self, number: int, sampler: SharedBatchSampler) -> None:
        trained = self._trained[number]
        try:
            for epoch in range(self._epochs[number]):
                for (batch,) in handed_out(sampler):
                    access(partial(trained.append, (epoch, batch)))
        except RuntimeError as error:
            if "must be at most" not in str(error):
                raise
            self._refused = True  # because the table is full
        if self._exits:
            for call in list(_at_exit[pid()]):
                call()
            access(partial(_alive.discard, pid()))

    def _ask(self) -> None:
        sampler = self._arrived()
        anyone_dead, drawn = access(
            lambda: (any(each.dead for each in self.actors), _position(self._words))
        )
        self._asked = anyone_dead, drawn, _flat(sampler.unfinished(0))

    def shared(self) -> object:
        """Return the words, and who lives. What is trained on follows from what each has seen."""
        return self._words.tolist(), sorted(_alive)

    def bury(self, dead: int) -> None:
        _alive.discard(dead)

    def wrong(self) -> str | None:
        """Compare what was trained on with what is listed as unfinished."""
        sampler = self._arrived()
        current, position = sampler._tickets.now()
        stopped = self._refused or all(each.dead for each in self.actors[: len(self._epochs)])
        if not stopped and (current, position) != (max(self._epochs) - 1, len(sampler)):
            return f"stopped at batch {position} of epoch {current}"
        for epoch in range(max(current - 1, 0), current + 1):
            drawn = set(range(position if epoch == current else len(sampler)))
            trained = [batch for each in self._trained for of, batch in each if of == epoch]
            if len(set(trained)) < len(trained):
                return f"trained on {sorted(trained)} in epoch {epoch}"
            dead = [number for number, each in enumerate(self._trained) if self.actors[number].dead]
            lost = drawn - set(trained)
            # A trainer that was killed when it had done a batch, and not come back to say so.
            may = {self._trained[i][-1][1] for i in dead if epoch in dict(self._trained[i][-1:])}
            listed = _flat(sampler.unfinished(epoch))
            if not lost <= listed <= lost | may:
                return f"lost {lost} of epoch {epoch}, and listed {listed}"
            if len(listed) > (sampler.prefetch + 1) * len(dead):
                return f"lost {listed} with {len(dead)} trainers"
            if self._asked and epoch == 0:
                anyone_dead, drawn_then, listed = self._asked
                lost_then = {batch for batch in lost if anyone_dead and batch < drawn_then}
                if not lost_then <= listed <= lost | may:
                    return f"lost {lost}, {lost_then} when somebody asked, and listed {listed}"
        return None

    def close(self) -> None:
        """Leave the memory for the next execution."""


def _position(words: Tensor) -> int:
    return _tickets_layout.unpack_ticket(int(words[_tickets.TICKET]))[1]


def _flat(batches: list[list[int]]) -> set[int]:
    return {index for (index,) in batches}
