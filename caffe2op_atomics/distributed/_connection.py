"""The connections of this process to stores, shared by all that use the same store.

torch's own client of a TCPStore waits for an answer for ever, and a host that is frozen or cut off
gives none. So a connection has a client of its own with a time limit; torch's waits are not
affected, nor do they hold up ours. What failed may still be answered, and the next call would take
that for its own answer: a connection that failed once is never used again.
"""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import suppress
from typing import Any

from torch._C._distributed_c10d import FileStore, HashStore, PrefixStore, Store, TCPStore

from . import _socket


class Died(Exception):  # noqa: N818  (whose text a StoreDiedError has)
    """A call to a store failed: the text says what it must do, and what it did."""


class Connection:
    """Calls of this process to a store, by several threads at once if need be."""

    def __init__(self, store: Store, root: Any, timeout: float) -> None:
        self._store, self._root, self._timeout = store, root, timeout
        self._client: Store | None = None
        self._death: str | None = None
        self._lock = threading.Lock()

    @property
    def dead(self) -> bool:
        """Whether a call failed."""
        return self._death is not None

    def call(self, method: str, *args: Any) -> Any:
        """Call a method of the store.

        Raises:
            Died: if it fails or does not answer in time, and from then on always.
        """
        client = self._client or self._connect()
        try:
            return getattr(client, method)(*args)
        except RuntimeError as error:
            raise self._end(str(error)) from error

    def _connect(self) -> Store:
        with self._lock:
            if self._death is None and self._client is None:
                try:
                    self._client = self._open()
                except (OSError, RuntimeError) as error:
                    self._death = str(error)
            if self._client is not None:
                return self._client
        raise self._error()

    def _end(self, death: str) -> Died:
        with self._lock:
            if self._death is None:
                self._death, self._client = death, None
                self._close()
        return self._error()

    def _error(self) -> Died:
        got = str(self._death).partition("\n")[0]
        return Died(f"the store must {self._rule()}, got: {got} ({self._described()})")

    def _open(self) -> Store:
        return self._store

    def _close(self) -> None:
        """Have the calls of other threads that are under way fail, too."""

    def _rule(self) -> str:
        return "answer"

    def _described(self) -> str:
        return type(self._root).__name__

    def enter_child(self) -> None:
        """Leave the connection to the parent of this process."""
        self._lock = threading.Lock()  # as _connections_lock
        self._client = None


class _TcpConnection(Connection):
    def _open(self) -> Store:
        client, self._fd = _socket.connect(self._store, self._root, self._timeout)
        return client

    def _close(self) -> None:
        _socket.shut_down(self._fd)

    def _rule(self) -> str:
        return f"answer within {self._timeout:g} s"

    def _described(self) -> str:
        root: TCPStore = self._root
        return f"TCPStore at {root.host}:{root.port}"


class _FileConnection(Connection):
    """Without its file, a FileStore would go on in a new one with the numbers that it remembers."""

    _opened: tuple[int, int] | None = None

    def call(self, method: str, *args: Any) -> Any:
        status = None
        with suppress(FileNotFoundError):
            status = os.stat(self._root.path)  # noqa: PTH116  (a Path takes as long as the call)
        found = status and (status.st_dev, status.st_ino)
        if found is None or found != (self._opened or found):
            raise self._end("its file was removed")
        self._opened = found
        return super().call(method, *args)


class _HashConnection(Connection):
    def enter_child(self) -> None:
        super().enter_child()
        self._death = "a forked child, to whose HashStore the parent has no access"


_connections: weakref.WeakValueDictionary[tuple[int, float], Connection]
_connections = weakref.WeakValueDictionary()
_connections_lock = threading.Lock()


def connection_to(store: Store, timeout: float) -> Connection:
    """Return the connection to a store with a time limit, or a new one if it is dead."""
    key = id(store), timeout  # the connection keeps the store
    with _connections_lock:
        connection = _connections.get(key)
        if connection is None or connection.dead:
            _connections[key] = connection = _new_connection(store, timeout)
    return connection


def _new_connection(store: Store, timeout: float) -> Connection:
    root = store
    while isinstance(root, PrefixStore):
        root = root.underlying_store
    kinds = {TCPStore: _TcpConnection, FileStore: _FileConnection, HashStore: _HashConnection}
    return kinds.get(type(root), Connection)(store, root, timeout)


def _enter_child() -> None:
    global _connections_lock  # another thread of the parent may have held it
    _connections_lock = threading.Lock()
    for connection in list(_connections.values()):
        connection.enter_child()


os.register_at_fork(after_in_child=_enter_child)
