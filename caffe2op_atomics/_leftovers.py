"""Warns of attaching to what a dead process left. Best effort: it sees what /proc shows."""

from __future__ import annotations

import os
import warnings

from . import _processes
from ._shared_file import HEADER_BYTES, Kind, unpack, value_of


class LeftoverWarning(UserWarning):
    """An object was attached to by name that no process seems to use, left by one that is gone.

    Its value is kept, which is right for a job that goes on where it stopped, and wrong for a new
    one that meant to start at ``initial``. A job of the first sort ignores this category; the
    second sort gives each run names of its own, or calls ``unlink()`` at the end.
    """


def warn_of_leftover(kind: Kind, name: str, fd: int, status: os.stat_result) -> None:
    """Warn if the open file seems to be left; call it before the file is mapped here."""
    content = os.pread(fd, min(kind.file_bytes, 4096), 0)  # a tensor may be large
    header = unpack(content)
    assert header is not None  # it was checked
    alive = _processes.is_alive(header.pid, header.start, header.pid_namespace)
    if alive or _processes.users_of([status])[0]:
        return
    maker = f"pid {header.pid}, " + ("now gone" if alive is not None else "of another container")
    warnings.warn(
        f"{kind.name}: attached to {name!r}, made by {maker}, and used by no process seen here; "
        f"it keeps its value, {value_of(kind.number, content[HEADER_BYTES:])}. To start afresh, "
        "unlink() it or give each run a name of its own; to go on with it, ignore LeftoverWarning",
        LeftoverWarning,
        stacklevel=5,  # the line that constructs the object
    )
