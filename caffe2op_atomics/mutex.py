"""A lock that survives the death of its holder."""

from __future__ import annotations

import inspect
import warnings
from typing import Literal, NoReturn, TypeVar

import torch
from torch import Tensor

from . import _processes
from ._arguments import integer, seconds_or_none
from ._cells import MutexCell
from ._shared import SharedObject, shared_zeros
from ._shared_file import MUTEX

_init = torch.ops.atomics.mutex_init_.default
_load = torch.ops.atomics.load.int
_MOST = 1024  # mutexes, of which a dying thread's can all be recovered

# Of a slot's bytes (csrc/cpu/mutex/slot.h) the news for the next locker, and what they mean.
_NEWS = slice(56, 60)
_STATES = {0: "unlocked", 1: "unlocked, its last holder died", 2: "lost"}

_Self = TypeVar("_Self", bound="Mutex")


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
        warn_after: after how many seconds of a wait a RuntimeWarning names the process and the
            thread that hold the mutex, once for each wait; None for never.

    Raises:
        TypeError, ValueError: if ``name`` is not 1 to 200 characters of ``A-Z a-z 0-9 . _ -``, or
            an option is none.
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
    _warn_after: float | None = 60.0

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
        warn_after: float | None = 60.0,
    ) -> None:
        if on_owner_died not in ("raise", "recover"):
            raise ValueError(
                f"Mutex: on_owner_died must be 'raise' or 'recover', got {on_owner_died!r}"
            )
        self._on_owner_died = on_owner_died
        self._warn_after = seconds_or_none("Mutex: warn_after", warn_after)
        self._obtain(name, tensor, _init)

    @classmethod
    def bank(
        cls: type[_Self],
        n: int,
        on_owner_died: Literal["raise", "recover"] = "raise",
        *,
        warn_after: float | None = 60.0,
    ) -> list[_Self]:
        """Return ``n`` mutexes that share one piece of memory, for as many as 1024.

        Each is as any other and travels by itself; all of them take one mapping and, under the
        sharing strategy ``file_descriptor``, one descriptor.

        Raises:
            TypeError, ValueError: if ``n`` is not an integer from 1 to 1024.

        Example:
            >>> rows = Mutex.bank(3)
            >>> with rows[0], rows[2]:
            ...     rows[1].locked()
            False
        """
        n = integer("Mutex.bank: n", n, 1, _MOST)
        slots = shared_zeros((n, *MUTEX.shape), MUTEX.dtype)
        _init(slots)
        return [cls(on_owner_died, tensor=slot, warn_after=warn_after) for slot in slots]

    def _warn_of_wait(self, seconds: float) -> None:
        which = "a mutex" if self.name is None else f"the mutex {self.name!r}"
        text = f"Mutex: a thread waited {seconds:g} s so far for {which} {self._held()}"
        warnings.warn(text, RuntimeWarning, stacklevel=_frames_of_ours())

    def _held(self) -> str:
        thread = self.owner()
        if thread is None:
            return "that was released just now"
        found = _processes.process_of(thread)
        if found is None:
            return f"held by thread {thread}"
        pid, state = found
        return f"held by thread {thread} of process {pid} ({state})"

    def __bool__(self) -> NoReturn:
        raise TypeError("a Mutex is neither true nor false; did you mean mutex.locked()?")

    def __repr__(self) -> str:
        if self.locked():
            return self._shown(self._held())
        _ = self.recoveries  # has a death noted that nobody met yet
        try:
            news = self.tensor.view(-1)[_NEWS].view(torch.int32)
        except RuntimeError:
            return self._shown("unlocked, its tensor moved")
        return self._shown(_STATES[_load(news)])


def _frames_of_ours() -> int:
    """Return how many frames this one and its callers in this package are, for a stacklevel."""
    frame, count = inspect.currentframe(), 0
    while frame and str(frame.f_globals.get("__name__")).partition(".")[0] == __package__:
        frame, count = frame.f_back, count + 1
    return count
