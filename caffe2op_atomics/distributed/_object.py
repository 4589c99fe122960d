"""What lives in a store under a name: who is first makes it, and all others find it.

Keys, under ``atomics/<name>/``: ``object`` says what it is and its random id, and is empty once it
was unlinked; its state is at keys that begin with the id, so that one that is made anew under the
name starts anew, whatever others still do with the old one.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from typing import ClassVar, NoReturn

from torch._C._distributed_c10d import Store

from .._identity import Identity
from .._polling import poll
from .._shared_file import checked_name
from ._link import StoreDiedError, link_to


class StoreObject(Identity):
    """Base of the classes whose state is in a store."""

    _kind: ClassVar[str]

    def _attach(
        self,
        name: str,
        store: Store | None,
        timeout: float,
        settings: Iterable[tuple[str, int]] = (),
    ) -> None:
        """Find the object, or make it; all who attach must agree on its settings.

        Raises:
            TypeError, ValueError: if an argument is wrong.
            RuntimeError: if the name means something else.
        """
        self._name = checked_name(self._kind, name)
        self._link = link_to(self._kind, name, store, timeout)
        self._place = f"atomics/{name}/object"
        wanted = {"kind": self._kind, **{key: str(value) for key, value in settings}}
        words = [secrets.token_hex(8), *(f"{key}={value}" for key, value in wanted.items())]
        self._object = self._link.call("compare_set", self._place, "", " ".join(words)).decode()
        identifier, *found = self._object.split(" ")
        there = dict(word.partition("=")[::2] for word in found)
        for key, value in wanted.items():
            if there.get(key) != value:
                raise RuntimeError(
                    f"{self._kind}: name {name!r} must have {key} {value}, "
                    f"got {key} {there.get(key)}"
                )
        self._key = f"atomics/{name}/{identifier}"

    @property
    def name(self) -> str:
        """The name that it was made with or attached by. Stays after :meth:`unlink`."""
        return self._name

    def unlink(self) -> bool:
        """Free the name and return True, or False if it means this object no longer.

        All who are attached go on as before; the next to use the name makes a new object. What this
        one holds stays in the store.

        Raises:
            StoreDiedError: if the store does not answer.
        """
        return bool(self._link.call("compare_set", self._place, self._object, "") == b"")

    def _poll(self, ready: Callable[[], bool], seconds: float) -> bool:
        return poll(ready, seconds, first=0.0005, longest=0.02)

    def _state(self) -> str:
        """Say what a ``repr`` shows."""
        raise NotImplementedError

    def __repr__(self) -> str:
        try:
            return self._shown(self._state())
        except StoreDiedError:
            return self._shown("its store died")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(
            f"cannot pickle or copy {type(self).__name__}: each process makes its own, by the name "
            f"{self._name!r} and its own client of the store"
        )
