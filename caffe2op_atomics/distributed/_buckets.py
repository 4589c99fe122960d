"""Guarded tensors in buckets of a few MiB: what all ranks agreed on, and what has changed since."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_ops = torch.ops.atomics


@dataclass
class Piece:
    """A guarded tensor or a part of one, and the mutexes over it."""

    bank: Tensor
    target: Tensor
    first: int


def wide(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype in which elements of ``dtype`` are summed over ranks."""
    if not dtype.is_floating_point:
        return dtype if dtype.itemsize >= 4 else torch.int32
    return dtype if dtype.itemsize >= 4 else torch.float32


class Bucket:
    """Some pieces of one dtype.

    ``agreed`` holds the values that all ranks have, the same bits on each of them. The tensors hold
    the same, rounded to their dtype, and on top of it what this host's workers did since.
    """

    def __init__(self, pieces: Sequence[Piece], agreed: Tensor) -> None:
        self.agreed = agreed
        self._pieces = pieces
        self._sizes = [piece.target.numel() for piece in pieces]
        self._seen = torch.empty_like(agreed, dtype=pieces[0].target.dtype)
        self._delta = torch.empty_like(agreed)
        self._load()
        agreed.copy_(self._seen)

    def changed(self) -> Tensor:
        """Return what the tensors are ahead of ``agreed``, each element of one moment."""
        self._load()
        before = self.agreed.to(self._seen.dtype)
        torch.sub(self._seen.to(self.agreed.dtype), before, out=self._delta)
        # Infinity and NaN are no change where they have not changed.
        return self._delta.masked_fill_(_bits(self._seen) == _bits(before), 0)

    def rebase(self, agreed: Tensor, ahead: Tensor | None = None) -> None:
        """Agree on other values, under what the tensors were ahead and what is done meanwhile."""
        self.agreed.copy_(agreed)
        values = self.agreed if ahead is None else self.agreed + ahead
        fresh = values.to(self._seen.dtype)
        for piece, seen, now in zip(
            self._pieces, self._seen.split(self._sizes), fresh.split(self._sizes), strict=True
        ):
            shape = piece.target.shape
            _ops.guarded_rebase_.default(
                piece.bank, piece.target, seen.view(shape), now.view(shape), piece.first
            )

    def _load(self) -> None:
        for piece, seen in zip(self._pieces, self._seen.split(self._sizes), strict=True):
            loaded = _ops.guarded_load.default(piece.bank, piece.target, False, piece.first)
            seen.copy_(loaded.view(-1))


def buckets_of(pieces: Sequence[Piece], nbytes: int) -> tuple[list[Bucket], list[Tensor]]:
    """Return buckets of about ``nbytes``, each of one dtype, and what is agreed for each piece."""
    buckets: list[Bucket] = []
    values: dict[int, Tensor] = {}
    for dtype in dict.fromkeys(piece.target.dtype for piece in pieces):
        places = [k for k, piece in enumerate(pieces) if piece.target.dtype == dtype]
        sizes = [pieces[k].target.numel() for k in places]
        agreed = torch.empty(sum(sizes), dtype=wide(dtype), device="cpu")
        for k, value in zip(places, agreed.split(sizes), strict=True):
            values[k] = value.view(pieces[k].target.shape)
        most = max(nbytes // agreed.itemsize, 1)
        some: list[Piece] = []
        begin = end = 0
        for part in (part for k in places for part in _parts(pieces[k], most)):
            if some and end - begin + part.target.numel() > most:
                buckets.append(Bucket(some, agreed[begin:end]))
                some, begin = [], end
            some.append(part)
            end += part.target.numel()
        buckets.append(Bucket(some, agreed[begin:end]))
    return buckets, [values[k] for k in range(len(pieces))]


def _parts(piece: Piece, most: int) -> Iterator[Piece]:
    if piece.target.numel() <= most or not piece.target.is_contiguous():
        yield piece
        return
    for part in piece.target.view(-1).split(most):
        yield Piece(piece.bank, part, piece.first)


def _bits(values: Tensor) -> Tensor:
    words = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    return values.view(words[values.itemsize])
