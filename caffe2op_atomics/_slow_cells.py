"""The methods of ``_fast`` over the registered ops, for where that extension was not built.

They go through the tensor, so every use looks whether torch has moved it. Who waits looks every
millisecond; who changes something here wakes those who sleep in ``_fast`` where an op does, and
else they see it within 50 ms.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch

from . import _traced
from ._arguments import errors_of, int64, seconds_or_for_ever, seconds_to_wait
from ._polling import poll
from ._shared import SharedObject

_load = torch.ops.atomics.load.int
_store = torch.ops.atomics.store_.int
_fetch_add = torch.ops.atomics.fetch_add.int
_fetch_sub = torch.ops.atomics.fetch_sub.int
_set = torch.ops.atomics.conditional_set_atomic_bool.default
_lock = torch.ops.atomics.mutex_lock.default
_try_lock = torch.ops.atomics.mutex_try_lock.default
_unlock = torch.ops.atomics.mutex_unlock.default
_consistent = torch.ops.atomics.mutex_consistent.default
_owner = torch.ops.atomics.mutex_owner.default
_recoveries = torch.ops.atomics.mutex_recoveries.default

_TRUE = torch.tensor(True)

# What the lock ops return.
_NOT_ACQUIRED, _ACQUIRED, _OWNER_DIED = 0, 1, 2

_SLICE = 0.05  # seconds in C++ between two looks at pending signals, such as Ctrl-C
_LOOK = 0.001  # seconds between two looks of those whom nobody wakes

_CounterT = TypeVar("_CounterT", bound="CounterCell")
_MutexT = TypeVar("_MutexT", bound="MutexCell")


def set_exporting(on: bool, /) -> None:
    """Nothing to do: ops are seen by what traces them."""


class _Bound(SharedObject):
    def _bind(self, address: int, nbytes: int, /) -> None:
        if not _is_shared_mapping(address):
            raise RuntimeError(
                f"{self._kind.name}: tensor must be shared (share_memory_() first), "
                "got private memory"
            )

    def _now(self) -> torch.Tensor:
        """Return the memory, after a look at whether torch has moved it since it was made."""
        if self._tensor.data_ptr() != self._address:
            self._check_not_moved()
        return self._tensor


def _is_shared_mapping(address: int) -> bool:
    """Ask the kernel: torch calls every mapping of a file shared, private ones too."""
    with Path("/proc/self/maps").open() as maps:
        for line in maps:
            span, permissions = line.split(maxsplit=2)[:2]
            begin, end = (int(bound, 16) for bound in span.split("-"))
            if begin <= address < end:
                return permissions[3] == "s"
    return False


class CounterCell(_Bound):
    """See ``csrc/python/counter.cpp``."""

    def next(self) -> int:
        """Add 1 and return the value before: a ticket that nobody else gets."""
        if self._handle is not None and torch.compiler.is_dynamo_compiling():
            return _traced.next_ticket(self)
        return int(_fetch_add(self._word(), 1))

    def fetch_add(self, n: int, /) -> int:
        """Add ``n`` and return the value before."""
        if self._handle is not None and torch.compiler.is_dynamo_compiling():
            return _traced.fetch_add(self, n)
        return int(_fetch_add(self._word(), int64(n)))

    def fetch_sub(self, n: int, /) -> int:
        """Subtract ``n`` and return the value before."""
        if self._handle is not None and torch.compiler.is_dynamo_compiling():
            return _traced.fetch_sub(self, n)
        return int(_fetch_sub(self._word(), int64(n)))

    def __iadd__(self: _CounterT, n: int, /) -> _CounterT:
        CounterCell.fetch_add(self, n)  # not what a subclass has
        return self

    def __isub__(self: _CounterT, n: int, /) -> _CounterT:
        CounterCell.fetch_sub(self, n)
        return self

    def _load(self) -> int:
        if self._handle is not None and torch.compiler.is_dynamo_compiling():
            return _traced.load(self)
        return int(_load(self._word()))

    def wait_until(self, n: int, timeout: float | None = None) -> bool:
        """Block until the value is at least ``n``; return False if ``timeout`` passes first."""
        n = int64(n)
        seconds = seconds_or_for_ever("wait_until", timeout)
        return poll(lambda: self._load() >= n, seconds, _LOOK, _LOOK)

    def _word(self) -> torch.Tensor:
        return self._now().view(-1)[:1]


class FlagCell(_Bound):
    """See ``csrc/python/flag.cpp``."""

    if TYPE_CHECKING:

        def _set_if_other(self, condition: object) -> None: ...

    def set(self) -> None:
        """Make the flag true, and wake who waits."""
        if self._handle is not None and torch.compiler.is_dynamo_compiling():
            return _traced.set_flag(self)
        _set(self._now(), _TRUE)

    def clear(self) -> None:
        """Make the flag false."""
        if self._handle is not None and torch.compiler.is_dynamo_compiling():
            return _traced.clear_flag(self)
        _store(self._now(), 0)

    def is_set(self) -> bool:
        """Return whether the flag is true."""
        if self._handle is not None and torch.compiler.is_dynamo_compiling():
            return _traced.is_set(self)
        return bool(_load(self._now()))

    def set_if(self, condition: bool | torch.Tensor, /) -> None:
        """Make the flag true if ``condition`` is true, and leave it alone if it is not."""
        if not isinstance(condition, bool):
            self._set_if_other(condition)
        elif condition:
            self.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the flag is true; return False if ``timeout`` passes first."""
        return poll(self.is_set, seconds_to_wait("wait", timeout), _LOOK, _LOOK)

    def __bool__(self) -> bool:
        return self.is_set()


class MutexCell(_Bound):
    """See ``csrc/python/mutex.cpp``."""

    if TYPE_CHECKING:
        _on_owner_died: str
        _OWNER_DIED: str
        _OWNER_DIED_ERROR: type[Exception]
        _warn_after: float | None

        def _warn_of_wait(self, seconds: float) -> None: ...

    def _bind(self, address: int, nbytes: int, /) -> None:
        with errors_of("mutex_owner", "Mutex"):
            _owner(self._tensor)  # refuses what is no mutex

    def acquire(self, blocking: bool = True, timeout: float | None = -1) -> bool:
        """Acquire the mutex and return True, or return False if that was not possible in time."""
        seconds = seconds_or_for_ever("acquire", timeout)
        if not blocking and seconds != -1:
            raise ValueError("acquire: timeout must be -1 or None for a non-blocking call, got one")
        me = threading.get_native_id()
        held = self.owner() == me
        try:
            if blocking:
                status = self._wait_for_it(seconds)
            else:
                with errors_of("mutex_try_lock", "acquire"):
                    status = int(_try_lock(self._tensor))
            if status == _OWNER_DIED and self._on_owner_died == "recover":
                self.consistent()
                status = _ACQUIRED
        except BaseException:  # of a signal handler, perhaps between the lock and this line
            if not held and self.owner() == me:
                _unlock(self._tensor, 0, True)
            raise
        if status == _OWNER_DIED:
            raise self._OWNER_DIED_ERROR(self._OWNER_DIED)
        return status != _NOT_ACQUIRED  # no call here: a signal handler could run after it

    def _wait_for_it(self, timeout: float) -> int:
        began = time.monotonic()
        patience = self._warn_after
        if patience is not None and -1 != timeout <= patience:
            patience = None
        while True:
            left = _SLICE if timeout == -1 else max(began + timeout - time.monotonic(), 0)
            with errors_of("mutex_lock", "acquire"):
                status = int(_lock(self._tensor, 0, min(left, _SLICE)))
            if status != _NOT_ACQUIRED or left == 0:
                return status
            if patience is not None and time.monotonic() >= began + patience:
                self._warn_of_wait(patience)
                patience = None

    def release(self) -> None:
        """Release the mutex."""
        with errors_of("mutex_unlock", "release"):
            _unlock(self._tensor)

    def consistent(self) -> None:
        """Declare what the mutex guards repaired."""
        with errors_of("mutex_consistent", "consistent"):
            _consistent(self._tensor)

    def locked(self) -> bool:
        """Return whether somebody holds the mutex."""
        return self.owner() is not None

    def owner(self) -> int | None:
        """Return the thread id (``threading.get_native_id``) of the holder, or None."""
        with errors_of("mutex_owner", "owner"):
            return int(_owner(self._tensor)) or None

    @property
    def recoveries(self) -> int:
        """How many threads and processes died while they held the mutex, so far."""
        with errors_of("mutex_recoveries", "recoveries"):
            return int(_recoveries(self._tensor)[0])

    def __enter__(self: _MutexT) -> _MutexT:
        """Acquire the mutex, waiting for ever, and return it."""
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        """Release the mutex, and let an exception pass."""
        self.release()
