"""Records which memory the ops touch, as the library tells it."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

_TOLD = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)


@dataclass
class Touched:
    """The ops, in order, with the address of the target of each."""

    targets: list[tuple[str, int]] = field(default_factory=list)

    def within(self, memory: Tensor) -> list[tuple[str, int]]:
        """Those on ``memory``, with how far into it."""
        start = memory.data_ptr()
        span = range(start, start + memory.nbytes)
        return [(op, address - start) for op, address in self.targets if address in span]


@contextlib.contextmanager
def touched() -> Iterator[Touched]:
    """Record while it is entered."""
    library = next(path for path in torch.ops.loaded_libraries if path.endswith("libatomics.so"))
    tell = ctypes.CDLL(library).atomics_tell_memory
    record = Touched()

    @_TOLD
    def told(op: bytes, argument: bytes, address: int) -> None:
        if argument == b"target":
            record.targets.append((op.decode(), address))

    tell(told)
    try:
        yield record
    finally:
        tell(None)
