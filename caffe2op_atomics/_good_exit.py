"""Calls that are made when the process ends, unless an exception ends it."""

from __future__ import annotations

import multiprocessing.util
import os
import sys
from collections.abc import Callable

Call = Callable[[], object]

_calls: dict[int, set[Call]] = {}  # by pid: a forked child's parent makes its own


def add(call: Call) -> None:
    """Have ``call`` called once at the end."""
    new: set[Call] = set()
    calls = _calls.setdefault(os.getpid(), new)  # of several threads, one registers its set
    if calls is new:
        # Not atexit, which the children of multiprocessing do not come to, and at which the
        # exception of those would not be in flight any more.
        multiprocessing.util.Finalize(None, _run, (new,), exitpriority=10)
    calls.add(call)


def remove(call: Call) -> None:
    """Take ``call`` back."""
    _calls.get(os.getpid(), set()).discard(call)


def _run(calls: set[Call]) -> None:
    # In flight in a child; in the main process it was printed before.
    error = sys.exc_info()[1]
    if error is None:
        error = getattr(sys, "last_value", None)
    if error is None or (isinstance(error, SystemExit) and not error.code):
        for call in list(calls):
            call()
