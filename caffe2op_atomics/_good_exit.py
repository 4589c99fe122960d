"""Calls that are made when the process ends, unless an exception ends it."""

from __future__ import annotations

import multiprocessing.util
import os
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from types import FrameType

Call = Callable[[], object]

_calls: dict[int, set[Call]] = {}  # by pid: a forked child's parent makes its own
# That of BaseProcess._bootstrap in a child of multiprocessing, which ends with its exit code.
_bootstrap: FrameType | None = None


def add(call: Call) -> None:
    """Have ``call`` called once at the end."""
    global _bootstrap
    # In the stack of this thread only: the frames of a running one may end during the look.
    _bootstrap = _find_bootstrap() or _bootstrap
    new: set[Call] = set()
    calls = _calls.setdefault(os.getpid(), new)  # of several threads, one registers its set
    if calls is new:
        # Not atexit, which the children of multiprocessing do not come to in older Pythons.
        multiprocessing.util.Finalize(None, _run, (new,), exitpriority=10)
    calls.add(call)


def remove(call: Call) -> None:
    """Take ``call`` back."""
    _calls.get(os.getpid(), set()).discard(call)


def _find_bootstrap() -> FrameType | None:
    code = BaseProcess._bootstrap.__code__  # type: ignore[attr-defined]
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    return frame


def _run(calls: set[Call]) -> None:
    # Newer Pythons, as 3.13.5, come here from a child when there is an exit code.
    if _bootstrap is not None and _bootstrap.f_locals.get("exitcode", 0) != 0:
        return
    # Older ones while its exception is in flight; in the main process it was printed before.
    error = sys.exc_info()[1]
    if error is None:
        error = getattr(sys, "last_value", None)
    if error is None or (isinstance(error, SystemExit) and not error.code):
        for call in list(calls):
            call()
