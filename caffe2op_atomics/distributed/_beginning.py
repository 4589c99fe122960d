"""What the ranks of a replica tell each other before they change anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ._peers import Peers


@dataclass
class Beginning:
    """With what a rank begins."""

    rounds: int
    options: int  # a number that depends on all that has to be alike
    period: float
    memory: Sequence[int]  # numbers that no other host has


def latest(peers: Peers, mine: Beginning, timeout: float) -> tuple[int, int]:
    """Return the latest round of all ranks, and which rank has it.

    Raises:
        RuntimeError: if they may not begin with what they have.
    """
    told = peers.told([mine.rounds, mine.options, round(mine.period * 1000)])
    rounds, options, periods = zip(*told, strict=True)
    others = [rank for rank, each in enumerate(options) if each != options[0]]
    if others:
        raise RuntimeError(
            "Replica: targets and options must be alike on all ranks, "
            f"got others on rank {others[0]}"
        )
    if max(periods) >= timeout * 1000:
        raise RuntimeError(
            "Replica: timeout must be longer than every rank's period, "
            f"got {timeout:g} and {max(periods) / 1000:g} s"
        )
    memory = [each for of_rank in peers.told(mine.memory) for each in of_rank]
    if len(set(memory)) < len(memory):
        raise RuntimeError(
            "Replica: group must have one rank of each host, got ranks with the same memory"
        )
    return max(rounds), rounds.index(max(rounds))
