"""The names there are, and what is behind each: to find what a crashed job left.

``python -m caffe2op_atomics --list`` prints the same, ``--unlink NAME`` removes one.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from . import _processes
from ._named import unlink_if
from ._shared_file import (
    DIRECTORY,
    HEADER_BYTES,
    KINDS,
    MUTEX,
    path_of,
    strangeness,
    unpack,
    value_of,
)


@dataclass(frozen=True)
class NameInfo:
    """What is known of a name.

    Attributes:
        name: the name, as the classes take it.
        kind: ``"Counter"``, ``"AtomicBool"``, ``"Mutex"``, ``"SharedBatchSampler"``,
            ``"GuardedTensor"``, or what else the file is.
        value: the counter's value, whether the flag is set, who holds the mutex, how far the
            sampler's epoch is, or the dtype and shape of the tensor.
        users: the processes that map it, as far as this process may look.
        creator: the pid of the process that made it, 0 if that is not known.
        creator_alive: whether that process still runs; None if it cannot be told, because it is
            in another pid namespace (container).
        age: seconds since it was made.
    """

    name: str
    kind: str
    value: int | bool | str
    users: list[int]
    creator: int
    creator_alive: bool | None
    age: float


def list_names() -> list[NameInfo]:
    """Return what is known of each name of this user, in order of the names.

    Example:
        >>> from caffe2op_atomics import Counter
        >>> counter = Counter(3, name=f"example.{os.getpid()}")
        >>> [(info.kind, info.value) for info in list_names() if info.name == counter.name]
        [('Counter', 3)]
        >>> counter.unlink()
        True
    """
    found = []
    for path in sorted(DIRECTORY.glob(path_of("list_names", "x").name[:-1] + "*")):
        with suppress(FileNotFoundError):  # unlinked meanwhile
            found.append((path, path.lstat()))
    users = _processes.users_of([status for _, status in found])
    return [_look(*file, pids) for file, pids in zip(found, users, strict=True)]


def unlink_name(name: str) -> bool:
    """Remove ``name``, whatever kind it is; return False if there was none.

    Those who are attached to it go on; whoever uses the name next makes a new object.

    Raises:
        TypeError, ValueError: if it is not a name.
        RuntimeError: if it is not a file that this package made for this user.
    """
    path = path_of("unlink_name", name)

    def refuse(rule: str, got: str) -> NoReturn:
        raise RuntimeError(f"unlink_name: name {name!r} must {rule}, got {got} (see {path})")

    def is_ours(fd: int) -> bool:
        if unpack(os.pread(fd, HEADER_BYTES, 0)) is None:
            refuse("be a file of caffe2op_atomics", "other bytes")
        return True

    with suppress(FileNotFoundError):
        strange = strangeness(path.lstat())
        if strange:
            refuse(*strange)
        return unlink_if(path, is_ours)
    return False


def _look(path: Path, status: os.stat_result, users: list[int]) -> NameInfo:
    name = path.name.split(".", 2)[2]
    strange = strangeness(status)
    content = b""
    if strange is None:
        with suppress(OSError), path.open("rb") as file:
            content = file.read(HEADER_BYTES + MUTEX.payload_bytes)
    header = unpack(content)
    if header is None:
        kind = strange[1] if strange else "not of this package"
        return NameInfo(name, kind, "", users, 0, None, time.time() - status.st_mtime)
    known = KINDS.get(header.kind)
    return NameInfo(
        name,
        known.name if known else f"kind {header.kind}",
        value_of(header.kind, content[HEADER_BYTES:]),
        users,
        header.pid,
        _processes.is_alive(header.pid, header.start, header.pid_namespace),
        time.time() - header.created / 1e9,
    )


def report() -> str:
    """Return the table that ``--list`` prints."""
    rows = [("name", "kind", "value", "used by", "made by", "age")]
    for info in list_names():
        state = {True: "", False: " (gone)", None: " (cannot be told)"}[info.creator_alive]
        rows.append(
            (
                info.name,
                info.kind,
                str(info.value),
                " ".join(map(str, info.users)) or "nobody seen",
                f"{info.creator or '?'}{state}",
                f"{info.age:.0f} s",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)
