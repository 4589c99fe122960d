"""Parameter groups whose numbers are in shared memory: what one process sets, all see."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

_load = torch.ops.atomics.load.float
_store = torch.ops.atomics.store_.float

# What decides of the state that there is, and is not shared; and what does by being 0 or not.
FIXED = ("params", "amsgrad", "decoupled_weight_decay", "capturable", "differentiable")
SWITCHES = ("momentum",)


class SharedGroup(dict[str, Any]):
    """A ``param_group``, whose numbers are read from shared memory and written to it.

    Args:
        group: what torch.optim made of the constructor's arguments.
        shared: the keys to share; of their values, each is a number, a bool or a tuple of numbers.
        cells: a float64 of shape ``[cells_of(group, shared)]``, in shared memory.
    """

    def __init__(self, group: Mapping[str, Any], shared: Sequence[str], cells: Tensor) -> None:
        super().__init__(group)
        self._cells = cells
        self._place: dict[str, slice] = {}
        self._kind: dict[str, type] = {}
        begin = 0
        for key in shared:
            value = group[key]
            count = len(value) if isinstance(value, tuple) else 1
            self._place[key] = slice(begin, begin + count)
            self._kind[key] = type(value)
            begin += count
        # For numbers(), which every step asks for.
        self._first = {key: place.start for key, place in self._place.items()}
        self._bools = [key for key, kind in self._kind.items() if kind is bool]
        self._tuples = {key: self._place[key] for key, kind in self._kind.items() if kind is tuple}

    @property
    def cell_count(self) -> int:
        """How many numbers are shared."""
        return len(self._cells)

    def is_shared(self, key: str) -> bool:
        """Return whether an option is shared."""
        return key in self._place

    def cells_for(self, group: Mapping[str, Any]) -> list[float]:
        """Return what the cells hold if the options are those of ``group``, where it has them."""
        cells = self._cells.tolist()
        for key, place in self._place.items():
            if key in group:
                cells[place] = self._numbers_of(key, group[key])
        return cells

    def store(self, group: Mapping[str, Any]) -> None:
        """Write the shared numbers of ``group``."""
        for key in self._place:
            self[key] = group[key]

    def numbers(self, cells: Tensor | None = None) -> dict[str, Any]:
        """Return all shared options, as they are now or as ``cells`` has them."""
        values = (self._cells if cells is None else cells).tolist()
        found: dict[str, Any] = {key: values[at] for key, at in self._first.items()}
        for key in self._bools:
            found[key] = bool(found[key])
        for key, place in self._tuples.items():
            found[key] = tuple(values[place])
        return found

    def _value(self, key: str, values: list[float]) -> Any:
        kind = self._kind[key]
        if kind is tuple:
            return tuple(values)
        return bool(values[0]) if kind is bool else values[0]

    def __getitem__(self, key: str) -> Any:
        place = self._place.get(key)
        if place is None:
            return super().__getitem__(key)
        return self._value(key, [_load(self._cells[at]) for at in range(place.start, place.stop)])

    def __setitem__(self, key: str, value: Any) -> None:
        place = self._place.get(key)
        if place is None:
            if key in FIXED and key in self and not _same(self[key], value):
                self._refuse(key, "stay as it was made: other processes would not see it")
            super().__setitem__(key, value)
            return
        numbers = self._numbers_of(key, value)
        made = super().__getitem__(key)
        if key in SWITCHES and bool(numbers[0]) != bool(made):
            rule = "stay other than 0" if made else "be given to the constructor if it is not 0"
            self._refuse(key, f"{rule}: it decides what state there is")
        for cell, number in zip(self._cells[place], numbers, strict=True):
            _store(cell, number)

    def _numbers_of(self, key: str, value: Any) -> list[float]:
        place = self._place[key]
        numbers = [float(one) for one in (value if self._kind[key] is tuple else (value,))]
        if len(numbers) != place.stop - place.start:
            self._refuse(key, f"be {place.stop - place.start} numbers")
        return numbers

    def _refuse(self, key: str, rule: str) -> None:
        raise ValueError(f"param_groups: {key} must {rule}")

    # What dict would do without asking the methods above.

    def __iter__(self) -> Iterator[str]:
        return super().__iter__()

    def get(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self else default  # noqa: SIM401 (it is what this is for)

    def items(self) -> Any:
        return [(key, self[key]) for key in self]

    def values(self) -> Any:
        return [self[key] for key in self]

    def update(self, *args: Any, **kwargs: Any) -> None:
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def setdefault(self, key: str, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def copy(self) -> dict[str, Any]:
        return dict(self.items())

    def __copy__(self) -> dict[str, Any]:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return copy.deepcopy(self.copy(), memo)

    def __reduce_ex__(self, protocol: object) -> Any:
        return dict, (self.copy(),)

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:  # type: ignore[override]
        return self.copy() | dict(other)

    def __ior__(self, other: Any) -> SharedGroup:  # type: ignore[override, misc]
        self.update(other)
        return self

    def __eq__(self, other: object) -> bool:
        return self.copy() == other

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __repr__(self) -> str:
        return repr(self.copy())


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, list):  # of parameters
        return list(map(id, one)) == list(map(id, other))
    return bool(one == other)


def cells_of(group: Mapping[str, Any], shared: Sequence[str]) -> int:
    """Return how many numbers a group shares."""
    return sum(len(group[key]) if isinstance(group[key], tuple) else 1 for key in shared)
