"""How this process reaches a store: in calls that end, whatever becomes of the store.

torch's own client of a TCPStore waits for an answer for ever, and a host that is frozen or cut off
gives none. So a link has a client of its own with a time limit; torch's waits are not affected, nor
do they hold up ours. What failed may still be answered, and the next call would take that for its
own answer: a link that failed once is never used again.
"""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import suppress
from numbers import Real
from typing import Any

import torch.distributed as dist
from torch._C._distributed_c10d import FileStore, HashStore, PrefixStore, Store, TCPStore

from . import _socket

TIMEOUT = 30.0  # seconds that a store has to answer, unless its user says otherwise
MOST_SECONDS = 86400
_UNCHANGED = "?"  # no value of ours, so that nothing is set to it


class StoreDiedError(RuntimeError):
    """The store does not answer, and what lives in it cannot be used any more.

    Whether the call that was under way took effect is not known.
    """


class Link:
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
            StoreDiedError: if it fails or does not answer in time, and from then on always.
        """
        client = self._client or self._connect()
        try:
            return getattr(client, method)(*args)
        except RuntimeError as error:
            raise self._end(str(error)) from error

    def read(self, key: str) -> str | None:
        """Return what a key holds, or None: torch's get would wait for one that is not there."""
        found: bytes = self.call("compare_set", key, _UNCHANGED, _UNCHANGED)
        return None if found == _UNCHANGED.encode() else found.decode()

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

    def _end(self, death: str) -> StoreDiedError:
        with self._lock:
            if self._death is None:
                self._death, self._client = death, None
                self._close()
        return self._error()

    def _error(self) -> StoreDiedError:
        got = str(self._death).partition("\n")[0]
        return StoreDiedError(f"the store must answer, got: {got} ({self._described()})")

    def _open(self) -> Store:
        return self._store

    def _close(self) -> None:
        """Have the calls of other threads that are under way fail, too."""

    def _described(self) -> str:
        return type(self._root).__name__

    def enter_child(self) -> None:
        """Leave the connection to the parent of this process."""
        self._lock = threading.Lock()  # as _links_lock
        self._client = None


class _TcpLink(Link):
    def _open(self) -> Store:
        client, self._fd = _socket.connect(self._store, self._root, self._timeout)
        return client

    def _close(self) -> None:
        _socket.shut_down(self._fd)

    def _described(self) -> str:
        root: TCPStore = self._root
        return f"TCPStore at {root.host}:{root.port}, which has {self._timeout:g} s"


class _FileLink(Link):
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


class _HashLink(Link):
    def enter_child(self) -> None:
        super().enter_child()
        self._death = "a forked child, to whose HashStore the parent has no access"


_links: weakref.WeakValueDictionary[tuple[int, float], Link] = weakref.WeakValueDictionary()
_links_lock = threading.Lock()


def link_to(kind: str, store: Store | None, timeout: float) -> Link:
    """Return the link to a store, that of the default process group if it is None.

    Raises:
        TypeError, ValueError: if an argument is none.
        RuntimeError: if there is no process group.
    """
    if not isinstance(timeout, Real):
        raise TypeError(f"{kind}: timeout must be a number of seconds, got {timeout!r}")
    if not 0 < timeout <= MOST_SECONDS:
        raise ValueError(
            f"{kind}: timeout must be above 0 and at most {MOST_SECONDS} seconds, got {timeout}"
        )
    if store is None:
        if not dist.is_initialized():
            raise RuntimeError(
                f"{kind}: store must be given, or torch.distributed be initialised, got neither "
                "(init_process_group)"
            )
        store = dist.distributed_c10d._get_default_store()
    if not isinstance(store, Store):
        raise TypeError(
            f"{kind}: store must be a store of torch.distributed, got {type(store).__name__}"
        )
    key = id(store), float(timeout)  # the link keeps the store
    with _links_lock:
        link = _links.get(key)
        if link is None or link.dead:
            _links[key] = link = _new_link(store, float(timeout))
    return link


def _new_link(store: Store, timeout: float) -> Link:
    root = store
    while isinstance(root, PrefixStore):
        root = root.underlying_store
    kinds = {TCPStore: _TcpLink, FileStore: _FileLink, HashStore: _HashLink}
    return kinds.get(type(root), Link)(store, root, timeout)


def _enter_child() -> None:
    global _links_lock  # another thread of the parent may have held it
    _links_lock = threading.Lock()
    for link in list(_links.values()):
        link.enter_child()


os.register_at_fork(after_in_child=_enter_child)
