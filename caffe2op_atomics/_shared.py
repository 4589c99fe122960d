"""How objects over shared memory travel: as shared tensors through multiprocessing, or not at all.

A silent private copy is the worst outcome there is: two processes would each count alone. So plain
pickle and copy raise, and torch.multiprocessing (whose reducers the standard multiprocessing
module uses too) sends the shared tensor inside. An object with a name travels by its name.
"""

from __future__ import annotations

from multiprocessing.reduction import ForkingPickler
from typing import Any, ClassVar, NoReturn, TypeVar

import torch
import torch.multiprocessing
from torch import Tensor

from . import _named
from ._shared_file import Kind

# The attributes that each process has its own of.
_LOCAL = ("_tensor", "_address", "_file")

_Self = TypeVar("_Self", bound="SharedObject")


def shared_zeros(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Return zeros in shared memory of the current sharing strategy."""
    return torch.zeros(shape, dtype=dtype).share_memory_()


class SharedObject:
    """Base of the classes whose whole state is one tensor in shared memory."""

    _kind: ClassVar[Kind]

    _tensor: Tensor
    _file: _named.NamedFile | None
    _strategy: str
    _address: int

    def _obtain(self, name: str | None, fill: _named.Fill) -> None:
        """Get memory, which ``fill`` initialises unless ``name`` means some that is there."""
        if name is None:
            memory, file = shared_zeros(self._kind.shape, self._kind.dtype), None
            fill(memory)
        else:
            memory, file = _named.attach(self._kind, name, fill)
        self._adopt(memory, file)

    def _adopt(self, tensor: Tensor, file: _named.NamedFile | None = None) -> None:
        self._tensor = tensor
        self._file = file
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

    @property
    def name(self) -> str | None:
        """The name that it was made with or attached by, or None. Stays after :meth:`unlink`."""
        return self._file.name if self._file else None

    def unlink(self) -> bool:
        """Remove the name and return True, or False if it means this object no longer.

        All who are attached go on as before; the next to use the name makes a new object.

        Raises:
            RuntimeError: if the object has no name.
        """
        if self._file is None:
            raise RuntimeError(f"unlink: {type(self).__name__} must have a name, got one without")
        return self._file.unlink()

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
    # What others set on the object, or a subclass, travels too.
    settings = {key: value for key, value in vars(shared).items() if key not in _LOCAL}
    if shared._file is not None:
        if not shared._file.is_at_its_name():
            _named.fail_sent(shared._file)
        return _rebuild_named, (type(shared), shared._file, settings)
    strategy = torch.multiprocessing.get_sharing_strategy()
    if strategy != shared._strategy:
        name = type(shared).__name__
        raise RuntimeError(
            f"{name}: sharing strategy must be {shared._strategy!r}, under which it was made, got "
            f"{strategy!r}: torch would move the memory away from those who share it"
        )
    return _rebuild, (type(shared), shared._tensor, settings)


def _rebuild_named(cls: type[_Self], file: _named.NamedFile, settings: dict[str, Any]) -> _Self:
    return _rebuild(cls, _named.attach_sent(file), settings, file)


def _rebuild(
    cls: type[_Self],
    tensor: Tensor,
    settings: dict[str, Any],
    file: _named.NamedFile | None = None,
) -> _Self:
    shared = cls.__new__(cls)
    shared._adopt(tensor, file)
    for name, value in settings.items():
        setattr(shared, name, value)
    return shared
