"""Whether a concurrent history could have come from calls that each happened at one moment.

The search of Wing and Gong, "Testing and verifying concurrent objects" (1993), with the memory of
Lowe, "Testing for linearizability" (2017): no set of finished calls is tried twice with one state.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

State = TypeVar("State", bound=Hashable)


@dataclass(frozen=True)
class Call:
    """An operation, what it returned, and when it was entered and left, by one clock."""

    start: int
    end: int
    name: str
    operands: tuple[bytes, ...] = ()
    old: bytes | None = None  # None: not returned
    flag: bool | None = None


def linearization(
    calls: Sequence[Call], initial: State, step: Callable[[State, Call], State | None]
) -> list[Call] | None:
    """An order that explains the history, or None if there is none.

    ``step`` gives the state after a call, or None where the call would have returned something
    else. Calls that touch in time (``end == start``) count as overlapping.
    """
    everything = (1 << len(calls)) - 1
    # For each call the ones that were over before it began.
    before = [
        sum(1 << j for j, other in enumerate(calls) if other.end < call.start) for call in calls
    ]
    dead_ends: set[tuple[int, State]] = set()
    order: list[Call] = []

    def search(done: int, state: State) -> bool:
        if done == everything:
            return True
        if (done, state) in dead_ends:
            return False
        for i, call in enumerate(calls):
            if done >> i & 1 or before[i] & ~done:
                continue
            after = step(state, call)
            if after is not None:
                order.append(call)
                if search(done | 1 << i, after):
                    return True
                order.pop()
        dead_ends.add((done, state))
        return False

    return order if search(0, initial) else None
