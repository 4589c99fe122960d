"""Memory belongs to one bank: a second one over it would guard nothing.

Within a process a table says who owns which storage. Between processes locks on a file do, one byte
for each piece of shared memory (open file description locks, fcntl(2)): the kernel releases them
when the last process that inherited them is gone. Each owner has a descriptor of its own, because
closing it is right in a forked child too, where unlocking would unlock for the parent.
"""

from __future__ import annotations

import errno
import fcntl
import gc
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
    addresses = _addresses(tensors)
    other = _owner_here(addresses)
    if other is not None:
        # One in a cycle, as with a trainer that refers to itself: nobody may have it any more.
        del other
        gc.collect()
        other = _owner_here(addresses)
    if other is not None:
        return f"{type(other).__name__} in this process"
    if not _lock(owner, addresses):
        return "an object in another process"
    adopt(owner, tensors)
    return None


def adopt(owner: object, tensors: Iterable[Tensor]) -> None:
    """Note that ``owner``, which arrived from another process, owns the tensors' memory."""
    for address, of_dead in list(_owner_of.items()):
        if of_dead() is None:
            _owner_of.pop(address, None)  # another thread may be here too
    for address in _addresses(tensors):
        _owner_of[address] = weakref.ref(owner)


def _addresses(tensors: Iterable[Tensor]) -> set[int]:
    storages = [tensor.untyped_storage() for tensor in tensors]
    return {storage.data_ptr() for storage in storages if storage.nbytes() > 0}


def _owner_here(addresses: Iterable[int]) -> object:
    for address in addresses:
        other = _owner_of.get(address)
        found = other() if other is not None else None
        if found is not None:
            return found
    return None


def _lock(owner: object, addresses: Iterable[int]) -> bool:
    path = DIRECTORY / f"{PREFIX}-owners.{os.geteuid()}"
    fd = None
    try:
        places = _places(addresses)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        for place in places:
            lock = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0)  # struct flock
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, lock)
    except OSError as error:
        if fd is not None:
            os.close(fd)
        # Otherwise no such directory, no /proc, no such locks: then only this process knows.
        return error.errno not in (errno.EAGAIN, errno.EACCES) or fd is None
    weakref.finalize(owner, os.close, fd).atexit = False
    return True


def _places(addresses: Iterable[int]) -> set[int]:
    """Return a number for the shared memory behind each address, the same in all processes."""
    left = sorted(addresses)
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
