"""Where the ranks of a replica meet, however many of their calls have failed before.

A key of the store holds the number of the last meeting and the ranks that have come to it. Each
adds itself, waits until all have, and takes itself out again if they do not come in time. What all
have come to stays as it is, and who comes next begins another: a number is that of one meeting.
"""

from __future__ import annotations

from collections.abc import Callable

from .._polling import poll
from ._link import Link

State = tuple[int, frozenset[int]]  # the number, and who has come


def meet(link: Link, key: str, rank: int, size: int, seconds: float) -> tuple[int, list[int]]:
    """Return the number of a meeting that is the same on all ranks, and which have not come to it.

    Raises:
        StoreDiedError: if the store does not answer.
    """
    seen = {rank}

    def come(number: int, there: frozenset[int]) -> State:
        return (number + 1, frozenset({rank})) if len(there) == size else (number, there | {rank})

    def is_over(last: int, there: frozenset[int]) -> bool:
        if last == number:
            seen.update(there)
        return last > number or len(there) == size

    def leave(last: int, there: frozenset[int]) -> State:
        return last, there if is_over(last, there) else there - {rank}

    number, _ = _change(link, key, come)
    over = False
    try:
        over = poll(lambda: is_over(*_state(link.read(key))), seconds, first=0.0005, longest=0.02)
    finally:
        if not over:
            over = is_over(*_change(link, key, leave))
    return number, [] if over else sorted(set(range(size)) - seen)


def _change(link: Link, key: str, change: Callable[[int, frozenset[int]], State]) -> State:
    while True:
        before = link.read(key)
        number, there = change(*_state(before))
        after = " ".join(map(str, (number, *sorted(there))))
        if link.call("compare_set", key, before or "", after) == after.encode():
            return number, there


def _state(text: str | None) -> State:
    number, *there = map(int, (text or "0").split())
    return number, frozenset(there)
