"""The layout of a named object's file: what csrc/shared_file.h says in C. Opens and makes nothing.

A header of 64 bytes, then the payload, whose cells therefore start at a multiple of 64 bytes.
"""

from __future__ import annotations

import math
import os
import re
import stat
import struct
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from . import _tickets_layout

DIRECTORY = Path("/dev/shm")  # a tmpfs: nothing in it survives a reboot
PREFIX = "caffe2op_atomics"

HEADER_BYTES = 64
_MAGIC = b"atomics\0"
_VERSION = 1
# magic, version, kind, dtype, payload bytes, creator: pid, start, pid namespace; time; zeros
_HEADER = struct.Struct("=8sHBBIQQQQ16x")

# Where glibc has the lock word in a mutex's slot, and the kernel's flags in it (futex(2)).
_LOCK_WORD = 64
_THREAD_ID, _OWNER_DIED = 0x3FFFFFFF, 0x40000000

# A file name has at most 255 bytes, and the prefix and a user id take up to 28.
_MOST_CHARACTERS = 200


# By torch's number of them (c10::ScalarType), as far as the ops take them.
DTYPES = (
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.float16,
    torch.float32,
    torch.float64,
    None,
    None,
    None,
    torch.bool,
    None,
    None,
    None,
    torch.bfloat16,
)


@dataclass(frozen=True)
class Kind:
    """What a file can hold: one of the classes."""

    name: str
    number: int
    dtype: torch.dtype
    dtype_number: int  # torch's number of it
    payload_bytes: int
    shape: tuple[int, ...]  # of the tensor that the class works on, at the payload's start
    # Numbers at the payload's start, int64, on which all who attach must agree.
    settings: tuple[tuple[str, int], ...] = ()

    def sized(self, count: int, settings: tuple[tuple[str, int], ...]) -> Kind:
        """Return the kind of one object, where the size of a file depends on the object."""
        nbytes = count * self.dtype.itemsize
        return replace(self, payload_bytes=nbytes, shape=(count,), settings=settings)

    @property
    def count(self) -> int:
        """The number of elements of that tensor."""
        return math.prod(self.shape)

    @property
    def file_bytes(self) -> int:
        """The size of a file of this kind."""
        return HEADER_BYTES + self.payload_bytes


COUNTER = Kind("Counter", 1, torch.int64, 4, 64, (8,))
ATOMIC_BOOL = Kind("AtomicBool", 2, torch.int32, 3, 64, (1,))
MUTEX = Kind("Mutex", 3, torch.uint8, 0, 128, (1, 128))
GUARDED_TENSOR = Kind("GuardedTensor", 4, torch.uint8, 0, 0, (0,))  # sized() makes it
SHARED_BATCH_SAMPLER = Kind("SharedBatchSampler", 5, torch.int64, 4, 0, (0,))  # sized() makes it
KINDS = {
    kind.number: kind
    for kind in (COUNTER, ATOMIC_BOOL, MUTEX, GUARDED_TENSOR, SHARED_BATCH_SAMPLER)
}


@dataclass(frozen=True)
class Header:
    """The first 64 bytes."""

    version: int
    kind: int
    dtype: int
    payload_bytes: int
    pid: int  # of the process that made the file, in the namespace below
    start: int  # when that process started, in ticks since boot; 0 if not known
    pid_namespace: int
    created: int  # nanoseconds since 1970


def pack(kind: Kind, pid: int, start: int, pid_namespace: int, created: int) -> bytes:
    """Return the header of a new file."""
    return _HEADER.pack(
        _MAGIC,
        _VERSION,
        kind.number,
        kind.dtype_number,
        kind.payload_bytes,
        pid,
        start,
        pid_namespace,
        created,
    )


def unpack(start: bytes) -> Header | None:
    """Return the header that a file starts with, or None if it is not one of ours."""
    if len(start) < HEADER_BYTES or not start.startswith(_MAGIC):
        return None
    return Header(*_HEADER.unpack(start[:HEADER_BYTES])[1:])


def checked_name(kind: str, name: object) -> str:
    """Return ``name`` if it is one.

    Raises:
        TypeError: if it is not a string.
        ValueError: if it is not a name.
    """
    if not isinstance(name, str):
        raise TypeError(f"{kind}: name must be a string, got {type(name).__name__}")
    if not re.fullmatch(rf"[A-Za-z0-9._-]{{1,{_MOST_CHARACTERS}}}", name):
        raise ValueError(
            f"{kind}: name must have 1 to {_MOST_CHARACTERS} characters of A-Z a-z 0-9 . _ -, "
            f"got {name[: _MOST_CHARACTERS + 1]!r}"
        )
    return name


def path_of(kind: str, name: object) -> Path:
    """Return the path of a name. Users have names of their own.

    Raises:
        TypeError, ValueError: if it is not a name.
    """
    return DIRECTORY / f"{PREFIX}.{os.geteuid()}.{checked_name(kind, name)}"


def type_of(mode: int) -> str:
    """Say what a mode of stat is the mode of."""
    types = {
        stat.S_IFREG: "a regular file",
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFDIR: "a directory",
        stat.S_IFIFO: "a fifo",
        stat.S_IFSOCK: "a socket",
    }
    return types.get(stat.S_IFMT(mode), "a device")


def strangeness(status: os.stat_result) -> tuple[str, str] | None:
    """Return the rule that a file breaks before one looks into it, and how, or None."""
    if not stat.S_ISREG(status.st_mode):
        return "be a regular file", type_of(status.st_mode)
    if status.st_uid != os.geteuid():
        return f"belong to user {os.geteuid()}", f"a file of user {status.st_uid}"
    return None


def mismatch(kind: Kind, header: Header, payload: bytes, file_bytes: int) -> tuple[str, str] | None:
    """Return the rule that a file of ours breaks for ``kind``, and how, or None.

    The start of the payload is enough.
    """
    if header.version != _VERSION:
        return f"have layout version {_VERSION}", f"version {header.version} of another build"
    if header.kind != kind.number:
        there = KINDS.get(header.kind)
        return f"have kind {kind.name}", f"kind {there.name if there else header.kind}"
    for index, (name, expected) in enumerate(kind.settings):
        actual = _number(payload, 8 * index, 8)
        if actual != expected:
            return f"have {name} {_shown(name, expected)}", f"{name} {_shown(name, actual)}"
    rules = [
        (header.dtype, kind.dtype_number, "have torch's dtype number {}", "{}"),
        (header.payload_bytes, kind.payload_bytes, "have a payload of {} bytes", "{} bytes"),
        (file_bytes, kind.file_bytes, "be a file of {} bytes", "{} bytes"),
    ]
    for actual, expected, rule, got in rules:
        if actual != expected:
            return rule.format(expected), got.format(actual)
    return None


def value_of(kind: int, payload: bytes) -> int | bool | str:
    """Return what a payload says: a number, whether a flag is set, who holds a mutex, ..."""
    if kind == COUNTER.number:
        return _number(payload, 0, 8)
    if kind == ATOMIC_BOOL.number:
        return _number(payload, 0, 4) != 0
    if kind == MUTEX.number:
        word = _number(payload, _LOCK_WORD, 4)
        if word & _OWNER_DIED:
            return "its holder died"
        return f"held by thread {word & _THREAD_ID}" if word & _THREAD_ID else "unlocked"
    if kind == GUARDED_TENSOR.number:
        dtype, dimensions = _number(payload, 0, 8), _number(payload, 8, 8)
        sizes = [_number(payload, 16 + 8 * d, 8) for d in range(min(dimensions, 8))]
        return f"{_dtype_name(dtype)} {sizes}"
    if kind == SHARED_BATCH_SAMPLER.number:
        return _tickets_layout.describe(payload)
    return ""


def _shown(setting: str, value: int) -> str:
    return _dtype_name(value) if setting == "dtype" else str(value)


def _dtype_name(number: int) -> str:
    return str(DTYPES[number % len(DTYPES)]).removeprefix("torch.")


def _number(payload: bytes, begin: int, size: int) -> int:
    return int.from_bytes(payload[begin : begin + size], sys.byteorder, signed=True)
