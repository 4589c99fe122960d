"""A lock that survives the death of its holder."""

from __future__ import annotations

import threading
import time
from typing import Literal, NoReturn

import torch

from ._shared import SharedObject
from ._shared_file import MUTEX

_init = torch.ops.atomics.mutex_init_.default
_lock = torch.ops.atomics.mutex_lock.default
_try_lock = torch.ops.atomics.mutex_try_lock.default
_unlock = torch.ops.atomics.mutex_unlock.default
_consistent = torch.ops.atomics.mutex_consistent.default
_owner = torch.ops.atomics.mutex_owner.default

# What the lock ops return.
_NOT_ACQUIRED, _ACQUIRED, _OWNER_DIED = 0, 1, 2

_SLICE = 0.05  # seconds in C++ between two looks at pending signals, such as Ctrl-C


class OwnerDiedError(RuntimeError):
    """The mutex was acquired, but its last holder died while it held it.

    Raised *while holding*: what the mutex guards may be half-written. Repair it, call
    :meth:`Mutex.consistent`, and go on; the mutex still has to be released. That goes for
    ``with mutex:`` as well, whose body is then not entered and whose exit does not release.
    """


class Mutex(SharedObject):
    """A mutual exclusion lock for threads and processes, with the methods of ``threading.Lock``.

    It is a robust POSIX mutex in shared memory: when its holder dies, by SIGKILL too, the next
    locker gets it within milliseconds and is told by :class:`OwnerDiedError`. It belongs to the
    thread that acquired it: another thread cannot release it, and it is not recursive. Send it to
    other processes as an argument of a torch.multiprocessing process or through a queue; plain
    pickle and copy raise TypeError.

    Args:
        on_owner_died: ``"raise"`` raises OwnerDiedError from the acquire that follows a death;
            ``"recover"`` declares what is guarded consistent and goes on, for state that a
            death cannot tear. Each object has its own, also of one mutex.
        name: attach to the mutex of this name, **held or not**, or create it if there is none: for
            processes of one user on one host, and in one pid namespace (container), that have no
            common parent. It stays in /dev/shm until :meth:`unlink`.

    Raises:
        TypeError, ValueError: if ``name`` is not 1 to 200 characters of ``A-Z a-z 0-9 . _ -``.
        RuntimeError: if ``name`` means something else than a mutex of this package.

    Example:
        >>> mutex = Mutex()
        >>> with mutex:
        ...     mutex.locked()
        True

        After a death:

        >>> def repair(): ...
        >>> try:
        ...     acquired = mutex.acquire(timeout=10)
        ... except OwnerDiedError:  # and it is held
        ...     repair()
        ...     mutex.consistent()
        >>> mutex.release()
    """

    _kind = MUTEX
    _on_owner_died: str

    def __init__(
        self,
        on_owner_died: Literal["raise", "recover"] = "raise",
        *,
        name: str | None = None,
    ) -> None:
        if on_owner_died not in ("raise", "recover"):
            raise ValueError(
                f"Mutex: on_owner_died must be 'raise' or 'recover', got {on_owner_died!r}"
            )
        self._obtain(name, _init)
        self._on_owner_died = on_owner_died

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Acquire the mutex and return True, or return False if that was not possible in time.

        Blocks, and can be interrupted by signals (Ctrl-C) within 50 ms.

        Args:
            blocking: whether to wait for the mutex.
            timeout: how long to wait, in seconds; -1 waits for ever.

        Raises:
            OwnerDiedError: the mutex **is held**, but the last holder died while it held it.
            RuntimeError: if this thread holds it already, or the mutex is a copy, in another pid
                namespace, or was released after a death without :meth:`consistent`.
            ValueError: if ``timeout`` is negative but not -1, or given without ``blocking``.
        """
        if not blocking and timeout != -1:
            raise ValueError("acquire: timeout must be -1 for a non-blocking call, got one")
        if timeout < 0 and timeout != -1:
            raise ValueError(f"acquire: timeout must be non-negative or -1, got {timeout}")
        try:
            status = self._wait(timeout) if blocking else int(_try_lock(self._tensor))
        except RuntimeError:  # of the op, which did not acquire
            raise
        except BaseException:  # of a signal handler, perhaps between the lock and this line
            if self.owner() == threading.get_native_id():
                self.release()
            raise
        if status == _OWNER_DIED:
            if self._on_owner_died == "raise":
                raise OwnerDiedError(
                    "acquired, but the last holder died while it held the mutex: repair what it "
                    "guards, call consistent(), then release()"
                )
            self.consistent()
        return status != _NOT_ACQUIRED  # no call here: a signal handler could run after it

    def _wait(self, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while True:
            left = _SLICE if timeout == -1 else max(deadline - time.monotonic(), 0)
            status = int(_lock(self._tensor, 0, min(left, _SLICE)))
            if status != _NOT_ACQUIRED or left == 0:
                return status

    def release(self) -> None:
        """Release the mutex.

        Raises:
            RuntimeError: if the calling thread does not hold it.
        """
        _unlock(self._tensor)

    def consistent(self) -> None:
        """Declare what the mutex guards repaired, after OwnerDiedError and before the release.

        A mutex that is released without this is lost: every later acquire raises RuntimeError.

        Raises:
            RuntimeError: if the calling thread does not hold it, or no owner died.
        """
        _consistent(self._tensor)

    def locked(self) -> bool:
        """Return whether somebody holds the mutex."""
        return self.owner() is not None

    def owner(self) -> int | None:
        """Return the thread id (``threading.get_native_id``) of the holder, or None."""
        return int(_owner(self._tensor)) or None

    def __enter__(self) -> Mutex:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __bool__(self) -> NoReturn:
        raise TypeError("a Mutex is neither true nor false; did you mean mutex.locked()?")

    def __repr__(self) -> str:
        owner = self.owner()
        return f"Mutex(held by thread {owner})" if owner else "Mutex(unlocked)"
