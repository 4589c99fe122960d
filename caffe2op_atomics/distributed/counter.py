"""A number that processes of several hosts count with."""

from __future__ import annotations

import operator
from typing import TypeVar

from torch._C._distributed_c10d import Store

from .._arguments import int64, seconds_or_for_ever
from ..counter import ReadOnlyValue
from ._link import TIMEOUT
from ._object import StoreObject

# A store adds without a look at the result, and 2**63 would become -2**63. So the end is well
# before that, and a result beyond it is taken back. At the same time 2**22 processes may try.
_END = 2**62
_MOST_STEP = 2**40

_Self = TypeVar("_Self", bound="Counter")


class Counter(ReadOnlyValue, StoreObject):
    """An exact counter in a store, for all processes that use its name, on whatever hosts.

    The methods are those of :class:`caffe2op_atomics.Counter`, each of them one atomic operation of
    the store. It holds ``-2**62`` to ``2**62``, and one call adds at most ``2**40``: it does not
    wrap.

    ``wait_until(n, timeout=None)`` asks the store, every 20 ms in the end, until the value is at
    least ``n``.

    Args:
        name: what it is found by, in this store. Who is first makes it.
        initial: the first value. If several make it at once, that of one of them counts; who finds
            it made keeps its value.
        store: a store of torch.distributed; that of the default process group if it is None.
        timeout: how many seconds the store has to answer in, better above 10 (docs/distributed.md).

    Raises:
        TypeError: if a number is not an integer.
        OverflowError: if a number is too large, or the value would be; it then stays as it is.
        ValueError: if ``name`` is not 1 to 200 characters of ``A-Z a-z 0-9 . _ -``, or a timeout
            negative.
        RuntimeError: if ``name`` means something else in this store, or there is no store.
        StoreDiedError: from every method, if the store does not answer in time, and from then on.

    Example:
        >>> from torch.distributed import HashStore
        >>> store = HashStore()
        >>> steps = Counter("steps", 10, store=store)
        >>> same = Counter("steps", store=store)
        >>> same += 5
        >>> steps.next(), steps.fetch_sub(2), steps
        (15, 16, Counter(name='steps', value=14))
    """

    _kind = "Counter"

    def __init__(
        self,
        name: str,
        initial: int = 0,
        *,
        store: Store | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        first = operator.index(initial)
        if not -_END <= first <= _END:
            raise OverflowError(f"Counter: initial must be from -2**62 to 2**62, got {initial}")
        self._attach(name, store, timeout)
        found = self._link.call("compare_set", self._key, "", str(first))
        try:
            int(found)
        except ValueError:
            raise RuntimeError(
                f"Counter: name {name!r} must hold a number, got {found.decode()!r}"
            ) from None

    def next(self) -> int:
        """Add 1 and return the value before: a ticket that nobody else gets."""
        return self._add(1)

    def fetch_add(self, n: int, /) -> int:
        """Add ``n`` and return the value before."""
        return self._add(_step(n))

    def fetch_sub(self, n: int, /) -> int:
        """Subtract ``n`` and return the value before."""
        return self._add(-_step(n))

    def __iadd__(self: _Self, n: int, /) -> _Self:
        self._add(_step(n))
        return self

    def __isub__(self: _Self, n: int, /) -> _Self:
        self._add(-_step(n))
        return self

    def wait_until(self, n: int, timeout: float | None = None) -> bool:
        """Block until the value is at least ``n``; return False if ``timeout`` passes first.

        A value that was passed and left again at once may not be seen. Ctrl-C ends it.

        Args:
            n: an integer that fits in int64.
            timeout: how long to wait, in seconds; None or -1 waits for ever.

        Raises:
            TypeError, OverflowError: if ``n`` is no such integer.
            TypeError, ValueError: if ``timeout`` is not a number, or negative but not -1.
            StoreDiedError: if the store dies meanwhile.
        """
        n = int64(n)
        seconds = seconds_or_for_ever("wait_until", timeout)
        return self._poll(lambda: self._load() >= n, seconds)

    def _load(self) -> int:
        return int(self._link.call("add", self._key, 0))

    def _add(self, n: int) -> int:
        value: int = self._link.call("add", self._key, n)
        if not -_END <= value <= _END:
            self._link.call("add", self._key, -n)
            raise OverflowError(
                f"Counter: the value must stay from -2**62 to 2**62, got {value}; nothing was added"
            )
        return value - n

    def _state(self) -> str:
        return f"value={self.value}"


def _step(n: object) -> int:
    step = operator.index(n)  # type: ignore[arg-type]
    if not -_MOST_STEP <= step <= _MOST_STEP:
        raise OverflowError(f"Counter: a step must be from -2**40 to 2**40, got {step}")
    return step
