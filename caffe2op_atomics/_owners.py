"""Memory belongs to one bank: a second one over it would guard nothing.

Within a process a table says who owns which storage. Between processes locks on a file do, one
byte for each piece of shared memory (open file description locks, fcntl(2)). Each owner has a
descriptor, which forked children inherit and other receivers are sent: the kernel releases the
locks when the last of them is closed.
"""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import struct
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from multiprocessing.reduction import DupFd, ForkingPickler
from pathlib import Path
from typing import Any

from torch import Tensor

from . import _guarded_memory
from ._shared_file import DIRECTORY, PREFIX

_owner_of: dict[int, weakref.ref[object]] = {}  # by the address of the storage
# Of that table. Re-entrant, because what is collected under it may make an owner when it ends.
_table_lock = threading.RLock()


def _renew_lock() -> None:
    global _table_lock  # another thread of a forked child's parent may have held it
    _table_lock = threading.RLock()


os.register_at_fork(after_in_child=_renew_lock)


class Claim:
    """Holds the locks of an owner while it, or one that multiprocessing made of it, lives."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd  # None where there are no such locks

    def __del__(self, _close: Callable[[int], None] = os.close) -> None:
        if self._fd is not None:  # also while the interpreter ends, which takes modules away
            _close(self._fd)


def _reduce(claim: Claim) -> tuple[Any, ...]:
    return _received, (None if claim._fd is None else DupFd(claim._fd),)


def _received(sent: Any) -> Claim:
    if sent is None:
        return Claim(None)
    fd = sent.detach()
    os.set_inheritable(fd, False)  # or a program that is started here would keep the claim
    return Claim(fd)


ForkingPickler.register(Claim, _reduce)


def claim(owner: object, tensors: Sequence[Tensor]) -> Claim | str:
    """Make ``owner`` the owner of the tensors' shared memory, or return who has some already.

    It has to keep the claim.
    """
    addresses = _addresses(tensors)
    if _owner_here(addresses) is not None:
        # One in a cycle, as with a trainer that refers to itself: nobody may have it any more.
        gc.collect()
    with _table_lock:
        other = _owner_here(addresses)
        if other is not None:
            return f"{type(other).__name__} in this process"
        made = _lock(addresses)
        if made is None:
            return "an object in another process"
        adopt(owner, tensors)
    return made


def adopt(owner: object, tensors: Sequence[Tensor]) -> None:
    """Note that ``owner``, which arrived from another process, owns the tensors' memory."""
    with _table_lock:
        for address, of_dead in list(_owner_of.items()):
            if of_dead() is None:
                _owner_of.pop(address, None)
        for address in _addresses(tensors):
            _owner_of[address] = weakref.ref(owner)
    _guarded_memory.note(owner, tensors)


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


def _lock(addresses: Iterable[int]) -> Claim | None:
    path = DIRECTORY / f"{PREFIX}-owners.{os.geteuid()}"
    fd = None
    try:
        places = set(places_of(addresses).values())
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        for place in places:
            lock = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0)  # struct flock
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, lock)
    except OSError as error:
        if fd is not None:
            os.close(fd)
        # Otherwise no such directory, no /proc, no such locks: then only this process knows.
        taken = fd is not None and error.errno in (errno.EAGAIN, errno.EACCES)
        return None if taken else Claim(None)
    return Claim(fd)


def places_of(addresses: Iterable[int]) -> dict[int, int]:
    """Return a number for the shared memory behind each address, the same in all processes.

    Raises:
        OSError: if there is no /proc.
    """
    left = sorted(addresses)
    places = {}
    with Path("/proc/self/maps").open() as maps:
        for line in maps:
            span, _, _, device, inode = line.split(maxsplit=5)[:5]
            begin, end = (int(bound, 16) for bound in span.split("-"))
            while left and left[0] < begin:
                left.pop(0)
            while left and left[0] < end:
                major, minor = (int(number, 16) for number in device.split(":"))
                number = (major << 20 | minor) * 0x9E3779B97F4A7C15 + int(inode)
                places[left.pop(0)] = number % 2**62
    return places
