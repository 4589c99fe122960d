"""What the words of a SharedBatchSampler mean. Touches no shared memory.

int64 words: 5 settings, which all who share agree on; at 8 the ticket; at 16 a table of the
processes that draw, two words each (process, pid namespace); then two banks of one record per
batch, for the even and the odd epochs, so that an epoch's records outlive the next one.

::

    ticket    epoch | batches drawn of it | who drew the last, 0 if none did
    record    epoch | who drew the batch  | whether it is done
    process   pid   | its start, in ticks since boot
"""

from __future__ import annotations

import sys
from typing import TypeVar

from torch import Tensor

_Word = TypeVar("_Word", int, Tensor)

SETTINGS = ("n", "batch_size", "shuffle", "seed", "drop_last")
TICKET = 8
HOLDERS = 16
MOST_HOLDERS = 1023  # number 0 is nobody, whose row is not used
RECORDS = HOLDERS + 2 * (MOST_HOLDERS + 1)

_HOLDER_BITS, _POSITION_BITS, _EPOCH_BITS, _START_BITS = 10, 28, 25, 41
MOST_BATCHES = 2**27  # a file tells the bytes of its payload in 32 bits
MOST_EPOCH = 2**_EPOCH_BITS - 1


def words(batches: int) -> int:
    """Return how many words an object takes."""
    return RECORDS + 2 * batches


def pack_ticket(epoch: int, position: int, holder: int) -> int:
    """Return the word that says that ``holder`` drew the batch before ``position``."""
    return (epoch << _POSITION_BITS | position) << _HOLDER_BITS | holder


def unpack_ticket(word: int) -> tuple[int, int, int]:
    """Return epoch, position and holder."""
    place, holder = word >> _HOLDER_BITS, word & MOST_HOLDERS
    return place >> _POSITION_BITS, place & (2**_POSITION_BITS - 1), holder


def pack_record(epoch: int, holder: int, done: bool) -> int:
    """Return a record. Of one batch's records the later one is the greater one."""
    return (epoch << _HOLDER_BITS | holder) << 1 | done


def unpack_record(word: _Word) -> tuple[_Word, _Word, _Word]:
    """Return epoch, holder and whether the batch is done; holder 0 if there is no record."""
    return word >> 1 + _HOLDER_BITS, word >> 1 & MOST_HOLDERS, word & 1


def pack_process(pid: int, start: int) -> int:
    """Return the word of a process; pids have 22 bits, and the start wraps after 700 years."""
    return pid << _START_BITS | start & (2**_START_BITS - 1)


def unpack_process(word: int) -> tuple[int, int]:
    """Return pid and start."""
    return word >> _START_BITS, word & (2**_START_BITS - 1)


def batches_of(n: int, batch_size: int, drop_last: int) -> int:
    """Return the number of batches of an epoch."""
    return n // batch_size if drop_last else -(-n // batch_size)


def describe(payload: bytes) -> str:
    """Say how far the epoch is, from the first bytes of a payload."""

    def word(index: int) -> int:
        return int.from_bytes(payload[8 * index : 8 * index + 8], sys.byteorder, signed=True)

    n, batch_size, _, _, drop_last = map(word, range(len(SETTINGS)))
    if n < 1 or batch_size < 1:  # damaged
        return ""
    epoch, position, _ = unpack_ticket(word(TICKET))
    return f"epoch {epoch}, {position} of {batches_of(n, batch_size, drop_last)} batches drawn"
