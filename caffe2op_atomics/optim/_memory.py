"""The shared memory of an optimizer, and what each process makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from .. import _bank
from .._shared import shared_zeros
from ._groups import SharedGroup, cells_of

_ALIGNED = 16  # elements: moments begin with a cache line of their own

# Of a group: the names of its moments, and what they are before the first step.
Moments = Callable[[Mapping[str, Any]], Mapping[str, float]]


@dataclass
class Plan:
    """A parameter group with all that a step of it needs, or some of its parameters."""

    group: SharedGroup
    params: list[Tensor]
    first: list[int]
    bank: Tensor
    steps: Tensor
    moments: dict[str, list[Tensor]]
    lock_free: bool  # of parameters on a GPU, which has no locks

    def parts(self, grads: Sequence[Tensor | None]) -> Iterator[tuple[Plan, list[Tensor]]]:
        """Give those that have gradients: dense neighbours together, sparse ones alone."""
        if not grads:
            return
        dense = [grad for grad in grads if grad is not None and not grad.is_sparse]
        if len(dense) == len(grads):
            yield self, dense
            return

        def kind(place: int) -> object:
            grad = grads[place]
            return None if grad is None else place + 1 if grad.is_sparse else 0

        for key, run in groupby(range(len(grads)), kind):
            if key is None:
                continue
            places = list(run)
            part = slice(places[0], places[-1] + 1)
            moments = {name: of_all[part] for name, of_all in self.moments.items()}
            some = replace(
                self,
                params=self.params[part],
                first=self.first[part],
                steps=self.steps[part],
                moments=moments,
            )
            yield some, [grad for grad in grads[part] if grad is not None]


@dataclass
class Memory:
    """What an optimizer shares beside the parameters: it travels as it is."""

    bank: Tensor
    first: list[int]  # of each parameter
    steps: Tensor  # int64, of each parameter
    cells: Tensor  # float64, the numbers of the groups
    flat: dict[torch.dtype, Tensor]  # all moments of a dtype, one after the other

    def plans(
        self, groups: Sequence[Mapping[str, Any]], shared: Sequence[str], moments: Moments
    ) -> list[Plan]:
        """Return views of it for each group."""
        plans = []
        number = cell = 0
        used = dict.fromkeys(self.flat, 0)
        for group in groups:
            params = list(group["params"])
            end, last = number + len(params), cell + cells_of(group, shared)
            views: dict[str, list[Tensor]] = {name: [] for name in moments(group)}
            for param in params:
                for of_name in views.values():
                    flat = self.flat[moment_dtype(param)]
                    of_name.append(_view(flat, used[flat.dtype], param))
                    used[flat.dtype] += _room(param)
            plans.append(
                Plan(
                    SharedGroup(group, shared, self.cells[cell:last]),
                    params,
                    self.first[number:end],
                    self.bank,
                    self.steps[number:end],
                    views,
                    lock_free=any(param.is_cuda for param in params),
                )
            )
            number, cell = end, last
        return plans


def new_memory(
    groups: Sequence[Mapping[str, Any]], shared: Sequence[str], moments: Moments
) -> Memory:
    """Return memory for these groups: unlocked mutexes, and zeros."""
    params = [param for group in groups for param in group["params"]]
    first, size = _bank.place(params)
    sizes: dict[torch.dtype, int] = {}
    for group in groups:
        for param in group["params"]:
            room = _room(param) * len(moments(group))
            if room > 0:
                sizes[moment_dtype(param)] = sizes.get(moment_dtype(param), 0) + room
    return Memory(
        _bank.new_bank(size),
        first,
        shared_zeros((len(params),), torch.int64),
        shared_zeros((sum(cells_of(group, shared) for group in groups),), torch.float64),
        {dtype: shared_zeros((size,), dtype) for dtype, size in sizes.items()},
    )


def moment_dtype(param: Tensor) -> torch.dtype:
    """Return the dtype of a parameter's moments, which is what is calculated with."""
    return torch.float32 if param.dtype == torch.bfloat16 else param.dtype


def _room(param: Tensor) -> int:
    return max(-(-param.numel() // _ALIGNED), 1) * _ALIGNED


def _view(flat: Tensor, offset: int, param: Tensor) -> Tensor:
    # In the order of the parameter's elements, as torch.empty_like has them.
    strides = torch.empty_like(param, device="meta").stride()
    return flat.as_strided(param.shape, strides, offset)
