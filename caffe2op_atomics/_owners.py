"""Memory belongs to one bank: a second one over it would guard nothing.

Within a process a table says who owns which storage. Between processes locks on a file do, one byte
for each piece of shared memory (open file description locks, fcntl(2)): the kernel releases them
when the last process that inherited them is gone.
"""

from __future__ import annotations

import fcntl
import os
import struct
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path

from torch import Tensor

from ._shared_file import DIRECTORY, PREFIX

_owner_of: dict[int, weakref.ref[object]] = {}  # by the address of the storage


def claim(owner: object, tensors: Sequence[Tensor]) -> str | None:
    """Make ``owner`` the owner of the tensors' shared memory; return who has some already.

    It stays so while the object lives.
    """
    for tensor in tensors:
        other = _owner_of.get(_address(tensor))
        found = other() if other is not None else None
        if found is not None:
            return f"{type(found).__name__} in this process"
    if not _lock(owner, tensors):
        return "an object in another process"
    adopt(owner, tensors)
    return None


def adopt(owner: object, tensors: Iterable[Tensor]) -> None:
    """Note that ``owner``, which arrived from another process, owns the tensors' memory."""
    for tensor in tensors:
        _owner_of[_address(tensor)] = weakref.ref(owner)


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _lock(owner: object, tensors: Sequence[Tensor]) -> bool:
    path = DIRECTORY / f"{PREFIX}-owners.{os.geteuid()}"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        places = _places(_address(tensor) for tensor in tensors)
    except OSError:  # no such directory, no /proc: then only this process knows
        return True
    try:
        for place in places:
            lock = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0)  # struct flock
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, lock)
    except BlockingIOError:
        os.close(fd)
        return False
    weakref.finalize(owner, os.close, fd).atexit = False
    return True


def _places(addresses: Iterable[int]) -> set[int]:
    """Return a number for the shared memory behind each address, the same in all processes."""
    left = sorted(set(addresses))
    places = set()
    with Path("/proc/self/maps").open() as maps:
        for line in maps:
            span, _, _, device, inode = line.split(maxsplit=5)[:5]
            begin, end = (int(bound, 16) for bound in span.split("-"))
            while left and left[0] < begin:
                left.pop(0)
            if left and left[0] < end:
                major, minor = (int(number, 16) for number in device.split(":"))
                number = (major << 20 | minor) * 0x9E3779B97F4A7C15 + int(inode)
                places.add(number % 2**62)
            while left and left[0] < end:
                left.pop(0)
    return places
