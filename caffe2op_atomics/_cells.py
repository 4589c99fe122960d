"""The seam of the fast path: what Counter, AtomicBool and Mutex are made of.

``_fast`` is a C extension that calls no torch op and enters no Python frame; ``_slow_cells`` has
the same methods over the registered ops. Both see the same memory, so that a process with the one
and a process with the other share an object.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

from . import _library

_OFF = "CAFFE2OP_ATOMICS_NO_FAST"


def _reason() -> str | None:
    """Return why the fast path cannot be used, or None."""
    if os.environ.get(_OFF, "") not in ("", "0"):
        return f"{_OFF} is set"
    try:
        fast = importlib.import_module(f"{__package__}._fast")
        fast.connect(_library.library_path())
    # SystemError: a free-threaded interpreter found what was built for one with a GIL.
    except (ImportError, SystemError) as error:
        return str(error)
    return None


# Why the fast path is not in use; None if it is.
WHY_SLOW = _reason()

if TYPE_CHECKING or WHY_SLOW is None:
    from ._fast import CounterCell, FlagCell, MutexCell, set_exporting
else:
    from ._slow_cells import CounterCell, FlagCell, MutexCell, set_exporting

__all__ = ["WHY_SLOW", "CounterCell", "FlagCell", "MutexCell", "set_exporting"]
