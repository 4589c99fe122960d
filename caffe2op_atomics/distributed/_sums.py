"""The sum of what all ranks have changed in a bucket: whole, or compressed to bfloat16."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ._peers import Peers


class Sum:
    """Sums a bucket with an all-reduce."""

    def __init__(self, peers: Peers, like: Tensor) -> None:
        self._peers = peers
        # What the collective runs on: the bucket itself, or its copy on a GPU.
        self._there = None if peers.device.type == "cpu" else like.to(peers.device)

    @property
    def owes(self) -> bool:
        """Whether a part of the earlier sums was not sent yet."""
        return False

    def begin(self, delta: Tensor) -> None:
        """Begin to sum ``delta`` over all ranks; it must stay until ``end`` and is written to."""
        self._delta = delta
        there = delta if self._there is None else self._there.copy_(delta)
        self._work = self._peers.all_reduce(there)

    def end(self) -> tuple[Tensor, Tensor | None]:
        """Wait for the sum, and return it, and what of this rank's part is not in it."""
        self._peers.wait(self._work)
        if self._there is not None:
            self._delta.copy_(self._there)
        return self._delta, None


class CompressedSum:
    """Sums a bucket as bfloat16, in half the bytes, with error feedback.

    Each rank sums a part of the bucket, in full precision, and sends the sum to all. What bfloat16
    rounds away stays where it was rounded and goes into the next sum: nothing is lost, but what is
    beyond bfloat16's range. (Seide et al., 1-bit stochastic gradient descent, Interspeech 2014;
    Tang et al., DoubleSqueeze, ICML 2019, for the second rounding.)
    """

    def __init__(self, peers: Peers, like: Tensor) -> None:
        self._peers = peers
        part = -(-like.numel() // peers.size)
        device = peers.device
        self._sent = torch.zeros(peers.size, part, dtype=torch.bfloat16, device=device)
        self._received = torch.zeros_like(self._sent)
        self._owed = torch.zeros(part, dtype=like.dtype, device=device)

    @property
    def owes(self) -> bool:
        """Whether a part of the earlier sums was not sent yet."""
        return bool(self._owed.any())

    def begin(self, delta: Tensor) -> None:
        """Begin to sum ``delta`` over all ranks; it must stay until ``end`` and is written to."""
        self._delta = delta
        self._sent.view(-1)[: delta.numel()].copy_(_round_off(delta))
        self._work: Any = self._peers.all_to_all(self._received, self._sent)

    def end(self) -> tuple[Tensor, Tensor | None]:
        """Wait for the sum, and return it, and what of this rank's part is not in it."""
        self._peers.wait(self._work)
        total = self._received.to(self._owed.dtype).sum(0).add_(self._owed)
        rounded = _round_off(total)
        self._peers.wait(self._peers.all_gather(self._sent, rounded.view(1, -1)))
        self._owed = total
        whole = self._sent.view(-1)[: self._delta.numel()].to(self._delta.device, self._delta.dtype)
        return whole, self._delta


def _round_off(values: Tensor) -> Tensor:
    """Return ``values`` as bfloat16, and leave in them what was rounded away.

    Of what becomes zero, infinite or NaN nothing is left: it could never be sent.
    """
    rounded = values.to(torch.bfloat16)
    values.sub_(rounded).masked_fill_(rounded.eq(0) | ~rounded.isfinite(), 0)
    return rounded
