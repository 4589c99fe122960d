"""What a replica was given, checked: the guarded tensors, the options, a saved state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from .._arguments import sequence
from ..guarded_tensor import GuardedTensor
from ..optim._shared_optimizer import SharedOptimizer
from ._buckets import Piece

Targets = SharedOptimizer | GuardedTensor | Sequence[GuardedTensor]


def pieces_of(targets: Targets) -> list[Piece]:
    """Return all tensors of an optimizer, or of guarded tensors.

    Raises:
        TypeError: if it is of another kind.
        RuntimeError: if there is none, one twice, or one that cannot be summed.
    """
    if isinstance(targets, SharedOptimizer):
        if any(plan.lock_free for plan in targets._plans):
            raise RuntimeError("Replica: targets must be on cpu, got an optimizer's on a GPU")
        pieces = [
            Piece(plan.bank, param.detach(), first)
            for plan in targets._plans
            for param, first in zip(plan.params, plan.first, strict=True)
        ]
    else:
        given = [targets] if isinstance(targets, GuardedTensor) else targets
        if isinstance(given, torch.optim.Optimizer):
            raise TypeError(
                "Replica: targets must be an optimizer of caffe2op_atomics.optim or guarded "
                f"tensors, got one of {type(given).__module__}"
            )
        guarded = sequence("Replica: targets", given, GuardedTensor)
        pieces = [Piece(each._bank, each.tensor, each._first) for each in guarded]
    if not pieces:
        raise RuntimeError("Replica: targets must have at least one tensor, got none")
    places = [piece.target.data_ptr() for piece in pieces if piece.target.numel()]
    if len(set(places)) < len(places):
        raise RuntimeError("Replica: targets must be different tensors, got one twice")
    for piece in pieces:
        if piece.target.dtype == torch.bool:
            raise RuntimeError("Replica: targets must have a dtype that can be summed, got bool")
    return pieces


def check_not_moved(targets: Targets) -> None:
    """Raise if memory of the targets was moved, so that others no longer share it.

    Raises:
        RuntimeError: if it was.
    """
    if isinstance(targets, SharedOptimizer | GuardedTensor):
        targets._check_not_moved()
        return
    for each in targets:
        each._check_not_moved()


def check_options(pieces: Sequence[Piece], average: bool, compression: object) -> None:
    """Raise if the tensors do not allow the options.

    Raises:
        ValueError: if they do not.
    """
    if compression not in (None, torch.bfloat16):
        raise ValueError(f"Replica: compression must be None or torch.bfloat16, got {compression}")
    for piece in pieces:
        if average and not piece.target.dtype.is_floating_point:
            got = str(piece.target.dtype).removeprefix("torch.")
            raise ValueError(f"Replica: average must be False for tensors of integers, got {got}")


def seconds(name: str, value: object) -> float:
    """Return ``value`` as a number of seconds.

    Raises:
        TypeError, ValueError: if it is none, or not from 0.001 to 86,400.
    """
    if not isinstance(value, Real):
        raise TypeError(f"Replica: {name} must be seconds, got {type(value).__name__}")
    number = float(value)
    if not 0.001 <= number <= 86_400:
        raise ValueError(f"Replica: {name} must be from 0.001 to 86400 seconds, got {value}")
    return number


def saved_values(state: Mapping[str, Any], values: Sequence[Tensor]) -> tuple[int, list[Tensor]]:
    """Return the round and the values of a replica's state_dict.

    Raises:
        ValueError: if it is of other tensors.
    """
    try:
        count, saved = int(state["round"]), list(state["values"])
        found = [(tuple(each.shape), each.dtype) for each in saved]
    except (KeyError, TypeError, AttributeError, ValueError):
        raise ValueError("Replica: state must be what state_dict() returned, got another") from None
    if found != [(tuple(each.shape), each.dtype) for each in values]:
        raise ValueError("Replica: state must be of tensors like targets, got others")
    return count, saved
