"""A lock that survives the death of its holder."""

from __future__ import annotations

from typing import Literal, NoReturn

import torch
from torch import Tensor

from ._cells import MutexCell
from ._shared import SharedObject
from ._shared_file import MUTEX

_init = torch.ops.atomics.mutex_init_.default


class OwnerDiedError(RuntimeError):
    """The mutex was acquired, but its last holder died while it held it.

    Raised *while holding*: what the mutex guards may be half-written. Repair it, call
    :meth:`Mutex.consistent`, and go on; the mutex still has to be released. That goes for
    ``with mutex:`` as well, whose body is then not entered and whose exit does not release.
    """


class Mutex(MutexCell, SharedObject):
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
        tensor: a mutex that is there already: a slot that ``torch.ops.atomics.create_mutex`` or
            ``mutex_init_`` made, uint8 of shape ``[128]`` or ``[1, 128]``.

    Raises:
        TypeError, ValueError: if ``name`` is not 1 to 200 characters of ``A-Z a-z 0-9 . _ -``.
        RuntimeError: if ``name`` or ``tensor`` means something else than a mutex of this package.

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

    # What the cell raises from the acquire that follows a death.
    _OWNER_DIED_ERROR = OwnerDiedError
    _OWNER_DIED = (
        "acquired, but the last holder died while it held the mutex: repair what it "
        "guards, call consistent(), then release()"
    )

    def __init__(
        self,
        on_owner_died: Literal["raise", "recover"] = "raise",
        *,
        name: str | None = None,
        tensor: Tensor | None = None,
    ) -> None:
        if on_owner_died not in ("raise", "recover"):
            raise ValueError(
                f"Mutex: on_owner_died must be 'raise' or 'recover', got {on_owner_died!r}"
            )
        self._on_owner_died = on_owner_died
        self._obtain(name, tensor, _init)

    def __bool__(self) -> NoReturn:
        raise TypeError("a Mutex is neither true nor false; did you mean mutex.locked()?")

    def __repr__(self) -> str:
        owner = self.owner()
        return f"Mutex(held by thread {owner})" if owner else "Mutex(unlocked)"
