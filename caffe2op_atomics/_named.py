"""Objects by name: attached to a file under /dev/shm, or created exactly once, and never half-made.

A new file is made without a name (O_TMPFILE), filled, and only then linked to its name, which fails
if another process was first. So a creator that is killed leaves the whole file or nothing.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor

from . import _processes
from ._leftovers import warn_of_leftover
from ._shared_file import (
    DIRECTORY,
    HEADER_BYTES,
    Kind,
    mismatch,
    pack,
    path_of,
    strangeness,
    unpack,
)

Fill = Callable[[Tensor], object]


@dataclass(frozen=True)
class NamedFile:
    """Which file a name meant when the object was attached."""

    kind: Kind
    name: str
    device: int
    inode: int

    def is_at_its_name(self) -> bool:
        """Return whether the name still means this file."""
        try:
            status = os.lstat(path_of(self.kind.name, self.name))
        except FileNotFoundError:
            return False
        return self._is(status)

    def _is(self, status: os.stat_result) -> bool:
        return (status.st_dev, status.st_ino) == (self.device, self.inode)

    def unlink(self) -> bool:
        """Remove the name if it still means this file; return whether it did."""
        path = path_of(self.kind.name, self.name)
        return self.is_at_its_name() and unlink_if(path, lambda fd: self._is(os.fstat(fd)))


def unlink_if(path: Path, wanted: Callable[[int], bool]) -> bool:
    """Remove ``path`` if ``wanted`` says so of the open file; return whether it did.

    Everybody who removes a name holds this lock of its file, and nobody can link another file to a
    name that is taken: between the last look and the removal the name stays what it is.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            remove = os.path.samestat(path.lstat(), os.fstat(fd)) and wanted(fd)
            if remove:
                path.unlink()
        finally:
            os.close(fd)
    except FileNotFoundError:
        return False
    return remove


def attach(kind: Kind, name: str, fill: Fill) -> tuple[Tensor, NamedFile]:
    """Return the memory that ``name`` means, which ``fill`` made if there was none.

    Raises:
        TypeError, ValueError: if ``name`` is not a name.
        RuntimeError: if it means something else, or the system does not let the file be made.
    """
    path_of(kind.name, name)
    made = False
    while True:
        fd = _open(kind.name, name)
        if fd is None:  # nothing there, or not any more
            made = _create(kind, name, fill)
            continue
        try:
            status = os.fstat(fd)
            if status.st_nlink == 0:  # unlinked since it was opened
                continue
            _check(kind, name, fd, status)
            if not made:
                warn_of_leftover(kind, name, fd, status)
            return _map(kind, fd), NamedFile(kind, name, status.st_dev, status.st_ino)
        finally:
            os.close(fd)


def attach_sent(file: NamedFile) -> Tensor:
    """Return the memory of an object that another process sent.

    Raises:
        RuntimeError: if the name does not mean the sender's file here.
    """
    fd = _open(file.kind.name, file.name)
    if fd is None:
        fail_sent(file)
    try:
        status = os.fstat(fd)
        if not file._is(status):
            fail_sent(file)
        _check(file.kind, file.name, fd, status)
        return _map(file.kind, fd)
    finally:
        os.close(fd)


def fail_sent(file: NamedFile) -> NoReturn:
    """Raise: the object cannot travel by its name."""
    raise RuntimeError(
        f"{file.kind.name}: name {file.name!r} must mean the object that is sent, got a name that "
        "was unlinked, made again, or is in another container: unlink it after it has arrived"
    )


def _open(kind: str, name: str) -> int | None:
    """Open the file of a name, None if there is none; follows no link, waits for no fifo."""
    path = path_of(kind, name)
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        try:
            strange = strangeness(os.lstat(path))
        except FileNotFoundError:
            return None
        if strange:
            _fail(kind, name, *strange)
        raise RuntimeError(f"{kind}: system must open {path}, got {error.strerror}") from error
    strange = strangeness(os.fstat(fd))
    if strange:
        os.close(fd)
        _fail(kind, name, *strange)
    return fd


def _fail(kind: str, name: str, rule: str, got: str, ours: bool = False) -> NoReturn:
    path = path_of(kind, name)
    way = f"python -m caffe2op_atomics --unlink {name}" if ours else f"rm {path}"
    raise RuntimeError(f"{kind}: name {name!r} must {rule}, got {got} (if unused: {way})")


def _check(kind: Kind, name: str, fd: int, status: os.stat_result) -> None:
    start = os.pread(fd, HEADER_BYTES + 8 * len(kind.settings), 0)
    header = unpack(start)
    if header is None:
        got = f"{status.st_size} bytes that start with {start[:8]!r}"
        _fail(kind.name, name, "be a file of caffe2op_atomics", got)
    wrong = mismatch(kind, header, start[HEADER_BYTES:], status.st_size)
    if wrong:
        _fail(kind.name, name, *wrong, ours=True)


def _map(kind: Kind, fd: int) -> Tensor:
    # By the descriptor, because the name may mean another file by now.
    memory = torch.from_file(
        f"/proc/self/fd/{fd}", shared=True, size=kind.file_bytes, dtype=torch.uint8
    )
    return memory[HEADER_BYTES:].view(kind.dtype)[: kind.count].view(kind.shape)


def _create(kind: Kind, name: str, fill: Fill) -> bool:
    """Make the file and give it its name; return False if the name was taken meanwhile."""
    path = path_of(kind.name, name)
    fd = None
    try:
        fd = os.open(DIRECTORY, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600)
        os.fchmod(fd, 0o600)  # whatever the umask takes away
        # The memory is there before anything is mapped: a full /dev/shm is an error, no SIGBUS.
        os.posix_fallocate(fd, 0, kind.file_bytes)
        pid, start, namespace = _processes.myself()
        os.pwrite(fd, pack(kind, pid, start, namespace, time.time_ns()), 0)
        # A storage of its own, which is what mutex_init_ wants.
        fill(
            torch.frombuffer(
                mmap.mmap(fd, kind.file_bytes),
                dtype=kind.dtype,
                count=kind.count,
                offset=HEADER_BYTES,
            ).view(kind.shape)
        )
        # Only with a directory descriptor does Python follow the link in /proc.
        os.link(f"/proc/self/fd/{fd}", path, src_dir_fd=fd, follow_symlinks=True)
    except FileExistsError:
        return False
    except OSError as error:
        raise RuntimeError(
            f"{kind.name}: {DIRECTORY} must let a file be made, got {error.strerror}"
        ) from error
    finally:
        if fd is not None:
            os.close(fd)
    return True
