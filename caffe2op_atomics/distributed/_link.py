"""How an object reaches its store: in calls that end, whatever becomes of the store."""

from __future__ import annotations

from numbers import Real
from typing import Any

import torch.distributed as dist
from torch._C._distributed_c10d import Store

from ._connection import Connection, Died, connection_to

TIMEOUT = 30.0  # seconds that a store has to answer, unless its user says otherwise
MOST_SECONDS = 86400
_UNCHANGED = "?"  # no value of ours, so that nothing is set to it


class StoreDiedError(RuntimeError):
    """The store does not answer, and what lives in it cannot be used any more.

    Whether the call that was under way took effect is not known.
    """


class Link:
    """Calls of one object to its store, whose errors name it."""

    def __init__(self, whose: str, connection: Connection) -> None:
        self._whose, self.connection = whose, connection

    def call(self, method: str, *args: Any) -> Any:
        """Call a method of the store.

        Raises:
            StoreDiedError: if it fails or does not answer in time, and from then on always.
        """
        try:
            return self.connection.call(method, *args)
        except Died as died:
            raise StoreDiedError(f"{self._whose}: {died}") from died.__cause__

    def read(self, key: str) -> str | None:
        """Return what a key holds, or None: torch's get would wait for one that is not there."""
        found: bytes = self.call("compare_set", key, _UNCHANGED, _UNCHANGED)
        return None if found == _UNCHANGED.encode() else found.decode()


def link_to(kind: str, name: str, store: Store | None, timeout: float) -> Link:
    """Return a link of an object to a store, that of the default process group if it is None.

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
    return Link(f"{kind} {name!r}", connection_to(store, float(timeout)))
