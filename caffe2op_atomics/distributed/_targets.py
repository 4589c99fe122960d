"""What a replica was given, checked: the guarded tensors, the options, a saved state."""

from __future__ import annotations

import contextlib
import hashlib
import operator
import os
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import _owners
from .._arguments import sequence
from ..guarded_tensor import GuardedTensor
from ..optim._shared_optimizer import SharedOptimizer
from ._buckets import Piece

Targets = SharedOptimizer | GuardedTensor | Sequence[GuardedTensor]


def pieces_of(targets: Targets) -> list[Piece]:
    """Return all tensors of an optimizer, or of guarded tensors.

    Raises:
        TypeError: if it is of another kind.
        RuntimeError: if there is none, or one that cannot be summed.
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
    for piece in pieces:
        if piece.target.dtype == torch.bool:
            raise RuntimeError("Replica: targets must have a dtype that can be summed, got bool")
    return pieces


def memory_of(pieces: Sequence[Piece]) -> list[int]:
    """Return a number for the memory of each tensor that has some, which no other host's has.

    Whoever else of this host has the tensor finds the same, wherever it is mapped.

    Raises:
        RuntimeError: if two are the same.
    """
    targets = [piece.target for piece in pieces if piece.target.numel()]
    addresses = {target.untyped_storage().data_ptr() for target in targets}
    places, boot = {address: address for address in addresses}, f"process {os.getpid()}"
    with contextlib.suppress(OSError):  # without /proc only this process knows
        places |= _owners.places_of(addresses)
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    memory = [
        number_of(boot, places[target.untyped_storage().data_ptr()], target.storage_offset())
        for target in targets
    ]
    if len(set(memory)) < len(memory):
        raise RuntimeError("Replica: targets must be different tensors, got one twice")
    return memory


def number_of(*what: object) -> int:
    """Return a number that depends on ``what`` alone, and that nothing else has."""
    return int.from_bytes(hashlib.sha256(repr(what).encode()).digest()[:7], "big")


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
        count, saved = operator.index(state["round"]), list(state["values"])
        found = [(tuple(each.shape), each.dtype) for each in saved]
    except (KeyError, TypeError, AttributeError):
        raise ValueError("Replica: state must be what state_dict() returned, got another") from None
    if not 0 <= count < 2**62:
        raise ValueError(f"Replica: state must be of a round from 0 to 2**62 - 1, got {count}")
    if found != [(tuple(each.shape), each.dtype) for each in values]:
        raise ValueError("Replica: state must be of tensors like targets, got others")
    return count, saved
