"""What /proc tells of other processes: which live, and which map a file. Best effort."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

_PROC = Path("/proc")


def myself() -> tuple[int, int, int]:
    """Return pid, start time and pid namespace of this process."""
    return os.getpid(), _start_of(os.getpid()) or 0, _pid_namespace()


def _pid_namespace() -> int:
    return os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116


def _start_of(pid: int) -> int | None:
    """Return when a process started, in ticks since boot; None if there is none, or a zombie."""
    try:
        fields = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    # Behind the command, which may contain anything: the state is field 3, the start field 22.
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def is_alive(pid: int, start: int, pid_namespace: int) -> bool | None:
    """Return whether that process lives, or None if it is of another namespace.

    A pid is used again in time, a pid with its start time is not. A start of 0 is not known.
    """
    if pid_namespace != _pid_namespace():
        return None
    found = _start_of(pid)
    return found is not None and start in (0, found)


def process_of(thread: int) -> tuple[int, str] | None:
    """Return the pid of a thread's process and the thread's state in ps's words, or None."""
    try:
        lines = (_PROC / str(thread) / "status").read_text(errors="replace").splitlines()
    except OSError:  # it ended, or is of another namespace
        return None
    fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    return int(fields["Tgid"]), fields["State"].partition("(")[2].rstrip(")")


def users_of(files: Sequence[os.stat_result]) -> list[list[int]]:
    """Return the pids that map each file, as far as this process may look."""
    users: list[list[int]] = [[] for _ in files]
    for pid, maps in _maps():
        for file, pids in zip(files, users, strict=True):
            device = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}"
            if f" {device} {file.st_ino} ".encode() in maps:
                pids.append(pid)
    return users


def _maps() -> Iterator[tuple[int, bytes]]:
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            try:
                maps = (entry / "maps").read_bytes()
            except OSError:  # ended, or of another user
                continue
            yield int(entry.name), maps
