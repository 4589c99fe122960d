"""The file of a named GuardedTensor: settings, then the bank, then the tensor.

The tensor begins where a stripe of the file does, so that its rows seldom lie in two stripes.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from . import _bank
from ._shared_file import DTYPES, GUARDED_TENSOR, HEADER_BYTES, Kind

MOST_DIMENSIONS = 8

_BANK_AT = 128  # in the payload, behind the settings
_SLOT_BYTES = 128


def kind_of(tensor: Tensor) -> Kind:
    """Return the kind of a file for a tensor like this one.

    Raises:
        ValueError: if it is too large.
    """
    mutexes = _bank.mutexes_for(tensor.nbytes)
    count = _data_at(mutexes) + tensor.nbytes
    if count >= 2**32:  # the header has 32 bits for it
        raise ValueError(
            "GuardedTensor: data must take less than 4 GiB if it has a name, "
            f"got {tensor.nbytes} bytes"
        )
    settings = [
        ("dtype", DTYPES.index(tensor.dtype)),
        ("dimensions", tensor.dim()),
        *((f"size({d})", size) for d, size in enumerate(tensor.shape)),
    ]
    return GUARDED_TENSOR.sized(count, tuple(settings))


def fill(memory: Tensor, kind: Kind, tensor: Tensor) -> None:
    """Make a payload of zeros a guarded tensor with the values of ``tensor``."""
    words = torch.tensor([value for _, value in kind.settings], dtype=torch.int64)
    memory[: words.nbytes].view(torch.int64).copy_(words)
    bank, data = parts(memory, kind)
    data.copy_(tensor)
    # As a storage of its own, which is what mutex_init_ wants.
    slots = (ctypes.c_char * bank.nbytes).from_address(bank.data_ptr())
    torch.ops.atomics.mutex_init_.default(torch.frombuffer(slots, dtype=torch.uint8))


def parts(memory: Tensor, kind: Kind) -> tuple[Tensor, Tensor]:
    """Return the bank and the tensor in a payload."""
    (_, number), _, *sizes = kind.settings
    like = torch.empty([size for _, size in sizes], dtype=DTYPES[number], device="meta")
    mutexes = _bank.mutexes_for(like.nbytes)
    bank = memory[_BANK_AT : _BANK_AT + _SLOT_BYTES * mutexes].view(mutexes, _SLOT_BYTES)
    begin = _data_at(mutexes)
    return bank, memory[begin : begin + like.nbytes].view(like.dtype).view(like.shape)


def _data_at(mutexes: int) -> int:
    end = HEADER_BYTES + _BANK_AT + _SLOT_BYTES * mutexes
    return -(-end // _bank.STRIPE_BYTES) * _bank.STRIPE_BYTES - HEADER_BYTES
