"""Banks of mutexes over the stripes of tensors: how many, and which tensor begins at which."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ._shared import shared_zeros

STRIPE_BYTES = 16384
# The kernel recovers at most 2048 mutexes of a dead thread, and a snapshot holds a whole bank.
_MOST_MUTEXES = 1024


def place(tensors: Sequence[Tensor]) -> tuple[list[int], int]:
    """Return for each tensor the mutex of its storage's first byte, and the size of a bank for all.

    Storages follow each other in the bank, so that small tensors do not all meet at one mutex.
    """
    first_of: dict[int, int] = {}
    total = 0
    for tensor in tensors:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in first_of:
            first_of[storage.data_ptr()] = total
            total += -(-storage.nbytes() // STRIPE_BYTES)
    size = mutexes_for(total * STRIPE_BYTES)
    return [first_of[tensor.untyped_storage().data_ptr()] % size for tensor in tensors], size


def mutexes_for(nbytes: int) -> int:
    """Return the size of a bank for so many bytes: a power of two, which the ops divide by."""
    stripes = max(-(-nbytes // STRIPE_BYTES), 1)
    return int(min(1 << (stripes - 1).bit_length(), _MOST_MUTEXES))


def new_bank(size: int) -> Tensor:
    """Return unlocked mutexes in shared memory, uint8 of shape ``[size, 128]``."""
    bank = shared_zeros((size, 128), torch.uint8)
    torch.ops.atomics.mutex_init_.default(bank)
    return bank
