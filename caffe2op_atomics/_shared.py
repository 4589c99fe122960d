"""How objects over shared memory travel: as shared tensors through multiprocessing, or not at all.

A silent private copy is the worst outcome there is: two processes would each count alone. So plain
pickle and copy raise, and torch.multiprocessing (whose reducers the standard multiprocessing
module uses too) sends the shared tensor inside.
"""

from __future__ import annotations

from multiprocessing.reduction import ForkingPickler
from typing import Any, NoReturn, TypeVar

import torch
import torch.multiprocessing
from torch import Tensor

# The attributes that each process has its own of.
_LOCAL = ("_tensor", "_address")

_Self = TypeVar("_Self", bound="SharedObject")


def shared_zeros(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Return zeros in shared memory of the current sharing strategy."""
    return torch.zeros(shape, dtype=dtype).share_memory_()


class SharedObject:
    """Base of the classes whose whole state is one tensor in shared memory."""

    _tensor: Tensor
    _strategy: str
    _address: int

    def _adopt(self, tensor: Tensor) -> None:
        self._tensor = tensor
        # Under another strategy torch would move the memory when it is sent.
        self._strategy = torch.multiprocessing.get_sharing_strategy()
        self._address = tensor.data_ptr()

    def __init_subclass__(cls) -> None:
        """Teach multiprocessing, and only it, to pickle the class."""
        super().__init_subclass__()
        ForkingPickler.register(cls, _reduce)

    def _cell(self) -> Tensor:
        """Return the tensor, after a look at whether torch has moved it since it was made."""
        if self._tensor.data_ptr() != self._address:
            self._check_not_moved()
        return self._tensor

    @property
    def tensor(self) -> Tensor:
        """The shared tensor inside, for the registered ops and for C++. Plain writes to it race."""
        self._check_not_moved()
        return self._tensor.detach()

    def _check_not_moved(self) -> None:
        if self._tensor.data_ptr() != self._address or not self._tensor.is_shared():
            raise RuntimeError(
                f"{type(self).__name__}: tensor must stay where it was made, got one that was "
                "moved (share_memory_, set_, .data = or resize_): others no longer share it"
            )

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (int, float)):
            raise TypeError(
                f"a {type(self).__name__} is compared by identity, not with a number; "
                "read it first (value, is_set(), locked())"
            )
        return self is other

    __hash__ = object.__hash__

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        name = type(self).__name__
        raise TypeError(
            f"cannot pickle or copy {name}: the copy would share nothing. Pass it to a process "
            "or a queue of torch.multiprocessing, which shares it; checkpoints save what it holds"
        )


def _reduce(shared: SharedObject) -> tuple[Any, ...]:
    shared._check_not_moved()
    strategy = torch.multiprocessing.get_sharing_strategy()
    if strategy != shared._strategy:
        name = type(shared).__name__
        raise RuntimeError(
            f"{name}: sharing strategy must be {shared._strategy!r}, under which it was made, got "
            f"{strategy!r}: torch would move the memory away from those who share it"
        )
    # What others set on the object, or a subclass, travels too.
    settings = {key: value for key, value in vars(shared).items() if key not in _LOCAL}
    return _rebuild, (type(shared), shared._tensor, settings)


def _rebuild(cls: type[_Self], tensor: Tensor, settings: dict[str, Any]) -> _Self:
    shared = cls.__new__(cls)
    shared._adopt(tensor)
    for name, value in settings.items():
        setattr(shared, name, value)
    return shared
