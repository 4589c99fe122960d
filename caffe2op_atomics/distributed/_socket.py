"""A client of a TCPStore of our own, whose calls end: the socket has a time limit.

c10d gives no access to its socket. But the new one of this process that is connected to the store's
port has to be it; c10d makes an error of a limit that passes (SYSCHECK in its Utils.hpp). A signal
makes it wait anew: the limit counts from the last one.
"""

from __future__ import annotations

import os
import queue
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from torch._C._distributed_c10d import Store, TCPStore

from ._helpers import call_in_thread

_TRIES = 100
_QUICKLY = 0.3  # seconds in which a host accepts that is well
_KEEP_ALIVE = 60  # seconds, after which firewalls are reminded of an idle connection


_connecting: dict[int, threading.Lock] = {}  # one thread at a time to each port, if possible


def connect(store: Store, root: TCPStore, timeout: float) -> tuple[Store, int]:
    """Return a client like ``store``, which has ``root`` below its prefixes, and its descriptor.

    Raises:
        OSError, RuntimeError: if the host refuses or does not answer in time.
    """
    answers: queue.SimpleQueue[tuple[Store, int] | Exception] = queue.SimpleQueue()

    def open_it() -> None:
        alone = _connecting.setdefault(root.port, threading.Lock())
        # Not for ever: one whose host is gone may hold it.
        held = alone.acquire(timeout=timeout / 2)
        try:
            answers.put(_connect(store, root.port, timeout))
        except Exception as error:
            answers.put(error)
        finally:
            if held:
                alone.release()

    def ask() -> None:
        try:
            socket.create_connection((root.host, root.port), timeout).close()
        except OSError as error:
            answers.put(error)

    # In threads: c10d goes on to ask a host that refuses, and for ever where a frozen one accepts.
    answer: tuple[Store, int] | Exception = TimeoutError("no connection in time")
    quickly = min(_QUICKLY, timeout)
    for work, seconds in ((open_it, quickly), (ask, timeout - quickly)):
        call_in_thread(work)
        with suppress(queue.Empty):
            answer = answers.get(timeout=seconds)
            break
    if isinstance(answer, Exception):
        raise answer
    return answer


def _connect(store: Store, port: int, timeout: float) -> tuple[Store, int]:
    for _ in range(_TRIES):
        before = _sockets()
        client: Store = store.clone()  # type: ignore[attr-defined]
        new = [fd for inode, fd in _sockets().items() if inode not in before and _leads(fd, port)]
        if len(new) == 1:
            _limit(new[0], timeout)
            return client, new[0]
        # Something else connected to it at the same time: which is ours?
        time.sleep(random.uniform(0, 0.01))
    raise RuntimeError("cannot tell the socket of a client of torch's")


def _sockets() -> dict[str, int]:
    """Return the descriptors of this process that are sockets, by inode."""
    found = {}
    for path in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            if (target := str(path.readlink())).startswith("socket:"):
                found[target] = int(path.name)
    return found


def _leads(fd: int, port: int) -> bool:
    with suppress(OSError), _opened(fd) as opened:
        return opened.family in (socket.AF_INET, socket.AF_INET6) and (
            opened.getpeername()[1] == port
        )
    return False


def _limit(fd: int, timeout: float) -> None:
    microseconds = max(round(timeout * 1e6), 1)  # 0 is no limit
    limit = struct.pack("ll", *divmod(microseconds, 10**6))
    with _opened(fd) as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEP_ALIVE)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEP_ALIVE)


def shut_down(fd: int) -> None:
    """End the connection, so that who waits for an answer gets an error."""
    with suppress(OSError), _opened(fd) as opened:
        opened.shutdown(socket.SHUT_RDWR)


@contextmanager
def _opened(fd: int) -> Iterator[socket.socket]:
    """Give another descriptor of a socket, and leave its own open."""
    with socket.socket(fileno=os.dup(fd)) as opened:
        yield opened


def _enter_child() -> None:
    _connecting.clear()


os.register_at_fork(after_in_child=_enter_child)
