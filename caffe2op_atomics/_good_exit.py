"""Calls that are made when the process ends, unless an exception ends it."""

from __future__ import annotations

import multiprocessing.util
import os
import sys
from collections.abc import Callable

Call = Callable[[], object]

_calls: set[Call] = set()
_pid = 0


def add(call: Call) -> None:
    """Have ``call`` called once at the end."""
    global _pid
    if _pid != os.getpid():
        _calls.clear()  # a forked child's parent makes them itself
        _pid = os.getpid()
        # Not atexit, which the children of multiprocessing do not come to, and at which the
        # exception of those would not be in flight any more.
        multiprocessing.util.Finalize(None, _run, exitpriority=10)
    _calls.add(call)


def remove(call: Call) -> None:
    """Take ``call`` back."""
    _calls.discard(call)


def _run() -> None:
    # In flight in a child; in the main process it was printed before.
    error = sys.exc_info()[1]
    if error is None:
        error = getattr(sys, "last_value", None)
    if error is None or (isinstance(error, SystemExit) and not error.code):
        for call in list(_calls):
            call()
