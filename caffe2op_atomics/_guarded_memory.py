"""The checking mode, ``CAFFE2OP_ATOMICS_CHECK=1``: lock-free ops refuse guarded memory.

Such an op would race with those who hold the locks. The library is told of the memory of each
GuardedTensor and optimizer while it lives; without the mode it is told of none, and looks for none.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Iterable

from torch import Tensor

from . import _library

_IS_ON = os.environ.get("CAFFE2OP_ATOMICS_CHECK", "") not in ("", "0")


def note(owner: object, tensors: Iterable[Tensor]) -> None:
    """Have lock-free ops refuse the memory of the tensors while ``owner`` lives."""
    if not _IS_ON:
        return
    library = ctypes.CDLL(_library.library_path())  # which is loaded
    for tensor in tensors:
        storage = tensor.untyped_storage()
        address = ctypes.c_void_p(storage.data_ptr())
        library.atomics_guard_memory(address, ctypes.c_size_t(storage.nbytes()))
        weakref.finalize(owner, library.atomics_unguard_memory, address)
