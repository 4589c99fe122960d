"""Mutexes in files: several mappings of one, addresses used again, holders in other processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.multiprocessing as mp
from support import TIMEOUT
from torch import Tensor

ops = torch.ops.atomics

BYTES = 4096


def mapped(path: Path) -> Tensor:
    """Another mapping of the file, at an address of its own."""
    return torch.from_file(str(path), shared=True, size=BYTES, dtype=torch.uint8)


def new_mutex(path: Path) -> Tensor:
    mutex = mapped(path)
    ops.mutex_init_(mutex)
    return mutex


def mapped_at(path: Path, address: int) -> Tensor:
    """A mapping of the file at an address that was just freed."""
    others = []
    for _ in range(100):
        tensor = mapped(path)
        if tensor.data_ptr() == address:
            return tensor
        others.append(tensor)
    raise AssertionError("the address was not reused")


def hold(path: Path, ready, done) -> None:
    mutex = mapped(path)
    ops.mutex_lock(mutex)
    ready.set()
    done.wait(TIMEOUT)


@contextmanager
def held_elsewhere(path: Path) -> Iterator[mp.Process]:
    context = mp.get_context("fork")
    ready, done = context.Event(), context.Event()
    process = context.Process(target=hold, args=(path, ready, done))
    process.start()
    assert ready.wait(TIMEOUT)
    try:
        yield process
    finally:
        process.kill()
        process.join()


def kill(process: mp.Process) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.join()
