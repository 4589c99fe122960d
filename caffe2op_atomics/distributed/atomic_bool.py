"""A flag that processes of several hosts set and read."""

from __future__ import annotations

from torch import Tensor
from torch._C._distributed_c10d import Store

from .._arguments import seconds_to_wait
from ..atomic_bool import AtomicBool as LocalFlag
from ._link import TIMEOUT
from ._object import StoreObject


class AtomicBool(StoreObject):
    """A flag in a store, for all processes that use its name, on whatever hosts; starts false.

    The methods are those of :class:`caffe2op_atomics.AtomicBool`, each of them one atomic operation
    of the store; ``set_if`` with a false condition is none. ``wait(timeout=None)`` asks the store,
    every 20 ms in the end, until it is set.

    Args:
        name: what it is found by, in this store. Who is first makes it.
        store: a store of torch.distributed; that of the default process group if it is None.
        timeout: how many seconds the store has to answer in, better above 10 (docs/distributed.md).

    Raises:
        TypeError, ValueError: if an argument or a condition is not what
            :class:`caffe2op_atomics.AtomicBool` takes.
        RuntimeError: if ``name`` means something else in this store, or there is no store.
        StoreDiedError: from every method, if the store does not answer in time, and from then on.

    Example:
        >>> from torch.distributed import HashStore
        >>> store = HashStore()
        >>> stop, same = AtomicBool("stop", store=store), AtomicBool("stop", store=store)
        >>> stop.wait(timeout=0.1)
        False
        >>> stop.set_if(2 > 1)
        >>> same.is_set(), same
        (True, AtomicBool(name='stop', is_set=True))
    """

    _kind = "AtomicBool"

    def __init__(self, name: str, *, store: Store | None = None, timeout: float = TIMEOUT) -> None:
        self._attach(name, store, timeout)
        self._keys = [self._key]  # which is there while the flag is set

    def set(self) -> None:
        """Make the flag true."""
        self._link.call("compare_set", self._key, "", "1")  # the store's set has no answer

    def clear(self) -> None:
        """Make the flag false."""
        self._link.call("delete_key", self._key)

    def is_set(self) -> bool:
        """Return whether the flag is true."""
        return bool(self._link.call("check", self._keys))

    def set_if(self, condition: bool | Tensor, /) -> None:
        """Make the flag true if ``condition`` is true, and leave it alone if it is not."""
        if not isinstance(condition, bool):
            seen = LocalFlag()  # which knows what a condition is
            seen.set_if(condition)
            condition = seen.is_set()
        if condition:
            self.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the flag is true; return False if ``timeout`` passes first.

        Ctrl-C ends it.

        Args:
            timeout: how long to wait, in seconds; None waits for ever.

        Raises:
            TypeError, ValueError: if ``timeout`` is not a number.
            StoreDiedError: if the store dies meanwhile.
        """
        return self._poll(self.is_set, seconds_to_wait("wait", timeout))

    def __bool__(self) -> bool:
        return self.is_set()

    def _state(self) -> str:
        return f"is_set={self.is_set()}"
