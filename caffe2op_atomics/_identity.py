"""Objects that stand for something shared: compared by identity, shown with their state."""

from __future__ import annotations

from torch import Tensor


class Identity:
    """Base of the shared objects of one host and of several."""

    @property
    def name(self) -> str | None:
        """What others find it by, or None."""
        raise NotImplementedError

    def __str__(self) -> str:  # or dynamo takes what the first object shows for all
        return repr(self)

    def _shown(self, state: str) -> str:
        """Return a ``repr``."""
        name = "" if self.name is None else f"name={self.name!r}, "
        return f"{type(self).__name__}({name}{state})"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (int, float, Tensor)):
            kind = "tensor" if isinstance(other, Tensor) else "number"
            raise TypeError(
                f"{type(self).__name__} is compared by identity, not with a {kind}; "
                "read it first (value, is_set(), locked(), snapshot())"
            )
        return self is other

    __hash__ = object.__hash__
