"""Stores of torch.distributed to share objects through, and programs that host one."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist

HOST = """
import sys
import torch.distributed as dist

store = dist.TCPStore(sys.argv[1], 0, is_master=True, wait_for_workers=False)
print(store.port, flush=True)
sys.stdin.read()
"""
LOOPBACK = "127.0.0.1"

_LIBC10 = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libc10.so"))
_log_level = ctypes.c_int.in_dll(_LIBC10, "FLAGS_caffe2_log_level")
_ERROR = 2

Open = Callable[[], dist.Store]


def client(port: int, address: str = LOOPBACK) -> dist.TCPStore:
    return dist.TCPStore(address, port, is_master=False, wait_for_workers=False)


@contextmanager
def hosting(address: str = LOOPBACK, *before: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a program that hosts a store; give it and its port."""
    program = subprocess.Popen(
        [*before, sys.executable, "-c", HOST, address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert program.stdout is not None
        yield program, int(program.stdout.readline())
    finally:
        program.kill()
        program.communicate()


@contextmanager
def no_warnings_of_torch() -> Iterator[None]:
    """As TORCH_CPP_LOG_LEVEL=ERROR: a warning looks names up, for 5 s where nobody answers."""
    before = _log_level.value
    _log_level.value = _ERROR
    try:
        yield
    finally:
        _log_level.value = before


@contextmanager
def opening(kind: str, folder: Path) -> Iterator[Open]:
    """Give what opens one store of a kind, once more each time but for the kind ``hash``."""
    if kind == "hash":
        hash_store = dist.HashStore()
        yield lambda: hash_store
    elif kind == "file":
        yield lambda: dist.FileStore(str(folder / "store"), -1)
    else:
        server = dist.TCPStore(LOOPBACK, 0, is_master=True, wait_for_workers=False)
        if kind == "tcp":
            yield lambda: client(server.port)
        else:
            yield lambda: dist.PrefixStore("a", dist.PrefixStore("b", client(server.port)))


KINDS = ["hash", "file", "tcp", "prefix"]
