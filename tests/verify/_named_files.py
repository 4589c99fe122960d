"""The real files of one name on /dev/shm, of which each look and change stops for the explorer."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from _interleave import access, pid

from caffe2op_atomics import _named, _shared_file, names
from caffe2op_atomics._shared_file import path_of

NAME = "x"


class Files:
    """What the kernel knows: what the name means and meant, and who has what open."""

    def __init__(self) -> None:
        self.meant: list[tuple[str | None, int]] = [(None, 0)]  # a file, and who changed it
        self.opened: dict[int, set[int]] = defaultdict(set)  # descriptors, by pid
        self._labels: dict[int, str] = {}  # of inodes: who made it, and of that one which
        self._ours: dict[str, int] = {}  # descriptors, for what a file holds
        self._locked: set[int] = set()

    def label(self, inode: int) -> str:
        """Return which file that is."""
        return self._labels[inode]

    def access(self, call: Callable[[], Any], saw: Callable[[Any], object] | None = None) -> Any:
        """Do an access, and note what the name means after it."""
        return access(partial(self._look_after, call), saw or self._saw)

    def _look_after(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        finally:
            try:
                meant = self.label(os.lstat(path_of("", NAME)).st_ino)
            except FileNotFoundError:
                meant = None
            if meant != self.meant[-1][0]:
                self.meant.append((meant, pid()))

    def _saw(self, result: object) -> object:
        if isinstance(result, os.stat_result):
            return self.label(result.st_ino), result.st_nlink, result.st_size
        return result if isinstance(result, bytes) else None

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        def call() -> int:
            fd = os.open(path, flags, mode)
            self.opened[pid()].add(fd)
            inode = os.fstat(fd).st_ino
            if inode not in self._labels:
                mine = sum(label.startswith(f"{pid()}.") for label in self._ours)
                self._labels[inode] = label = f"{pid()}.{mine}"
                self._ours[label] = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
            return fd

        return self.access(call, lambda fd: self.label(os.fstat(fd).st_ino))

    def close(self, fd: int) -> None:
        """Close a descriptor, which others notice if it has a lock."""
        if fd in self._locked:
            self.access(partial(self._close, fd))
        elif fd in self.opened[pid()]:  # not of one that is dead
            self._close(fd)

    def _close(self, fd: int) -> None:
        os.close(fd)
        self._locked.discard(fd)
        self.opened[pid()].discard(fd)

    def flock(self, fd: int, how: int) -> None:
        def call() -> None:
            fcntl.flock(fd, how | fcntl.LOCK_NB)
            self._locked.add(fd)

        self.access(call)

    def bury(self, dead: int) -> None:
        """Close what a dead process had open."""
        for fd in self.opened.pop(dead, ()):
            os.close(fd)
            self._locked.discard(fd)

    def contents(self) -> list[tuple[str, bytes]]:
        """Return all there ever was, and what it holds."""
        return sorted((label, os.pread(fd, 4096, 0)) for label, fd in self._ours.items())

    def end(self) -> None:
        """Take all away."""
        for each in list(self.opened):
            self.bury(each)
        for fd in self._ours.values():
            os.close(fd)
        for path in _shared_file.DIRECTORY.iterdir():
            os.unlink(path)  # noqa: PTH108  (of its own)


class _Os:
    """The module os, of which what concerns files stops."""

    def __getattr__(self, name: str) -> Any:
        if name in ("open", "close"):
            return getattr(current(), name)
        function = getattr(os, name)
        if name in ("lstat", "fstat", "pread", "posix_fallocate", "pwrite", "link"):
            return lambda *args, **options: current().access(partial(function, *args, **options))
        return function


class _Path(type(Path())):  # type: ignore[misc]
    def lstat(self) -> os.stat_result:
        return current().access(super().lstat)

    def unlink(self, missing_ok: bool = False) -> None:
        current().access(partial(super().unlink, missing_ok))


_current = Files()


def current() -> Files:
    """Return the files of this execution."""
    return _current


def begin() -> Files:
    """Begin with no files."""
    global _current
    _current = Files()
    return _current


@contextmanager
def stopping() -> Iterator[None]:
    """Have the code of names stop at each access, in a folder of its own."""
    with ExitStack() as stack:
        # Where it is promised to work, and nowhere else.
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm"))
        flock = SimpleNamespace(
            LOCK_EX=fcntl.LOCK_EX, flock=lambda fd, how: current().flock(fd, how)
        )
        for module, name, value in (
            (_named, "os", _Os()),
            (names, "os", _Os()),
            (_named, "fcntl", flock),
            (_named, "time", SimpleNamespace(time_ns=lambda: 0)),
            (_named, "_processes", SimpleNamespace(myself=lambda: (pid(), 1, 1))),
            (_named, "warn_of_leftover", lambda *_: None),  # best effort, which is not promised
            (_named, "DIRECTORY", _Path(folder)),
            (_shared_file, "DIRECTORY", _Path(folder)),
        ):
            stack.enter_context(patch.object(module, name, value))
        yield
