"""Batches dealt by ticket, and who has which: the protocol of SharedBatchSampler over its words.

The ticket changes by compare-and-exchange only, and that is what draws a batch. It names who drew
last, and nobody moves it on before the record of that draw is written, by whoever comes first: so a
drawer that dies after its draw leaves a record all the same. Records only grow, so that a late
writer does no harm, and epochs only go up.
"""

from __future__ import annotations

import os
from itertools import chain

import torch
from torch import Tensor

from . import _processes
from ._deal import Deal, Draw
from ._tickets_layout import (
    HOLDERS,
    MOST_HOLDERS,
    RECORDS,
    TICKET,
    pack_process,
    pack_record,
    pack_ticket,
    unpack_process,
    unpack_record,
    unpack_ticket,
)

_load = torch.ops.atomics.load.int
_load_all = torch.ops.atomics.load.default
_store = torch.ops.atomics.store_.int
_compare_exchange = torch.ops.atomics.compare_exchange.int
_max = torch.ops.atomics.max_.int


class Tickets(Deal):
    """The words of one object, as this process sees them."""

    def __init__(self, words: Tensor) -> None:
        self._ticket = words[TICKET : TICKET + 1]
        self._holders = words[HOLDERS:RECORDS].view(-1, 2)
        self._records = words[RECORDS:].view(2, -1)
        self.batches = self._records.shape[1]
        self._holder = (0, 0)  # pid, number: a forked child is another holder

    def now(self) -> tuple[int, int]:
        """Return the epoch and how many of its batches are drawn."""
        return unpack_ticket(_load(self._ticket))[:2]

    def begin(self, epoch: int) -> None:
        """Begin ``epoch`` unless it, or a later one, has begun.

        Raises:
            RuntimeError: if another one is in the middle.
        """
        while True:
            self.check_may_begin(epoch)
            seen = _load(self._ticket)
            current, position, _ = unpack_ticket(seen)
            if current >= epoch:
                return
            if position in (0, self.batches) and self._move(seen, pack_ticket(epoch, 0, 0)):
                return

    def draw(self, epoch: int) -> Draw | None:
        """Draw a batch, or return None if ``epoch`` has none left."""
        holder = self._number()
        while True:
            seen = _load(self._ticket)
            current, position, _ = unpack_ticket(seen)
            if current != epoch or position == self.batches:
                return None
            if self._move(seen, pack_ticket(epoch, position + 1, holder)):
                return Draw(epoch, position, holder)

    def finish(self, draw: Draw) -> None:
        """Record that a batch is done."""
        self._record(draw, done=True)

    def unfinished(self, epoch: int) -> list[Draw]:
        """Return each batch that was drawn and is not known to be done, in the order of drawing.

        Raises:
            ValueError: if the records of that epoch are not there, or not any more.
        """
        self._write_record(_load(self._ticket))
        of, who, done = unpack_record(_load_all(self._records[epoch % 2]))
        current, _ = self.now()  # after the records were read
        if not current - 1 <= epoch <= current:
            raise ValueError(f"unfinished: epoch must be {current}, or the one before, got {epoch}")
        positions = ((of == epoch) & (who != 0) & (done == 0)).nonzero().flatten()
        return [
            Draw(epoch, position, holder)
            for position, holder in zip(positions.tolist(), who[positions].tolist(), strict=True)
        ]

    def lost(self, epoch: int) -> list[Draw]:
        """Return those of them that no live process of this pid namespace drew.

        Raises:
            ValueError: as unfinished().
        """
        draws = set(self.unfinished(epoch))
        dead = {holder for holder in {draw.holder for draw in draws} if not self.is_alive(holder)}
        # Who lived at the first look may have finished before the end.
        return [draw for draw in self.unfinished(epoch) if draw in draws and draw.holder in dead]

    def is_alive(self, holder: int) -> bool | None:
        """Return whether a holder lives; None if it is in another pid namespace."""
        process, namespace = _load_all(self._holders[holder]).tolist()
        return _processes.is_alive(*unpack_process(process), namespace)

    def _record(self, draw: Draw, done: bool) -> None:
        epoch, position, holder = draw
        record = self._records[epoch % 2, position : position + 1]
        _max(record, pack_record(epoch, holder, done))

    def _write_record(self, seen: int) -> None:
        """Write the record of the last draw that a ticket tells of."""
        epoch, position, holder = unpack_ticket(seen)
        if holder:
            self._record(Draw(epoch, position - 1, holder), done=False)

    def _move(self, seen: int, ticket: int) -> bool:
        self._write_record(seen)
        return _compare_exchange(self._ticket, seen, ticket)[1]

    def _number(self) -> int:
        """Return the number of this process in the table."""
        pid, number = self._holder
        if pid != os.getpid():
            number = self._enter_table()
            self._holder = os.getpid(), number
        return number

    def _enter_table(self) -> int:
        pid, start, namespace = _processes.myself()
        myself = pack_process(pid, start)
        rows = _load_all(self._holders).tolist()
        if [myself, namespace] in rows:  # by another object of this process
            return rows.index([myself, namespace])
        taken = [number for number, (process, _) in enumerate(rows) if process]
        free = [number for number, (process, _) in enumerate(rows) if number and not process]
        for number in chain(free, filter(self._is_over, taken)):
            if _compare_exchange(self._holders[number, :1], rows[number][0], myself)[1]:
                _store(self._holders[number, 1:], namespace)
                return number
        raise RuntimeError(
            f"SharedBatchSampler: trainers must be at most {MOST_HOLDERS} processes, got one more"
        )

    def _is_over(self, holder: int) -> bool:
        """Return whether a holder is dead and nothing is to be told of it."""
        if self.is_alive(holder) is not False:
            return False
        epoch, _, last = unpack_ticket(_load(self._ticket))
        of, who, done = unpack_record(_load_all(self._records))
        return last != holder and not bool(
            ((who == holder) & (of >= epoch - 1) & (done == 0)).any()
        )
