"""How objects over shared memory travel: as shared tensors through multiprocessing, or not at all.

A silent private copy is the worst outcome there is: two processes would each count alone. So plain
pickle and copy raise, and torch.multiprocessing (whose reducers the standard multiprocessing
module uses too) sends the shared tensor inside. An object with a name travels by its name.
"""

from __future__ import annotations

import mmap
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

import torch
import torch.multiprocessing
from torch import Tensor

from . import _named
from ._arguments import check_dense
from ._identity import Identity
from ._shared_file import ATOMIC_BOOL, COUNTER, Kind

_CUDA = "cuda"  # for a sharing strategy

_Self = TypeVar("_Self", bound="SharedObject")


def shared_zeros(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Return zeros in shared memory of the current sharing strategy."""
    return torch.zeros(shape, dtype=dtype, device="cpu").share_memory_()  # not the default device


def given_memory(kind: Kind, tensor: Tensor) -> Tensor:
    """Return ``tensor`` if an object of this kind can live in it.

    Raises:
        TypeError, RuntimeError: if it is no tensor or cannot.
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{kind.name}: tensor must be a tensor, got {type(tensor).__name__}")
    check_dense(f"{kind.name}: tensor", tensor)
    # A counter needs no more than its value.
    numels = sorted({1, kind.count}) if kind.dtype == torch.int64 else [kind.count]
    wanted = " or ".join(map(str, numels))
    rules = [
        (tensor.device.type == "cpu" or on_gpu(kind, tensor), "be on cpu", tensor.device),
        (tensor.dtype == kind.dtype, f"have dtype {_name(kind.dtype)}", _name(tensor.dtype)),
        (
            tensor.numel() in numels and tensor.is_contiguous(),
            f"be contiguous with {wanted} element{'s' * (wanted != '1')}",
            f"shape {list(tensor.shape)} with strides {list(tensor.stride())}",
        ),
        (not tensor.is_neg(), "not be a negative view", "one"),
        (tensor.data_ptr() % tensor.itemsize == 0, "be aligned", "a view that is not"),
    ]
    for holds, rule, actual in rules:
        if not holds:
            raise RuntimeError(f"{kind.name}: tensor must {rule}, got {actual}")
    if not tensor.is_shared():
        raise RuntimeError(
            f"{kind.name}: tensor must be shared (share_memory_() first), got private memory"
        )
    return tensor.detach()


def on_gpu(kind: Kind, tensor: object) -> bool:
    """Return whether an object of this kind can live there, on a GPU."""
    return (
        kind in (COUNTER, ATOMIC_BOOL)
        and isinstance(tensor, Tensor)
        and tensor.is_cuda
        and has_gpu_kernels()
    )


def has_gpu_kernels() -> bool:
    """Return whether the kernels for CUDA were built and loaded."""
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key("atomics::store_.int", "CUDA"))


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def strategy_of(tensor: Tensor) -> str | None:
    """Return the sharing strategy that the memory was made under, None if by torch.from_file.

    torch does not tell: under file_system its memory starts behind a header of 64 bytes. That of a
    GPU has none, and is sent by CUDA.
    """
    if tensor.is_cuda:
        return _CUDA
    storage = tensor.untyped_storage()
    if storage.filename is not None:
        return None
    return "file_system" if storage.data_ptr() % mmap.PAGESIZE else "file_descriptor"


def check_strategy(name: str, made_under: str | None) -> None:
    """Raise if torch would move memory when it sends it.

    Raises:
        RuntimeError: if it was made under another sharing strategy, or by torch.from_file.
    """
    strategy = torch.multiprocessing.get_sharing_strategy()
    if made_under == _CUDA:
        return
    if made_under is None:
        raise RuntimeError(
            f"{name}: memory must be torch's shared memory to be sent, got a file that was mapped "
            "by from_file (or create_mutex), which torch would move; map it in the other process"
        )
    if strategy != made_under:
        raise RuntimeError(
            f"{name}: sharing strategy must be {made_under!r}, under which it was made, got "
            f"{strategy!r}: torch would move the memory away from those who share it"
        )


class SharedObject(Identity):
    """Base of the classes whose whole state is one tensor in shared memory."""

    _kind: Kind  # of the class, or of each object if they differ in size

    # The attributes that each process has its own of.
    _LOCAL: ClassVar[frozenset[str]] = frozenset(
        {"_tensor", "_address", "_strategy", "_file", "_handle"}
    )

    _tensor: Tensor
    _file: _named.NamedFile | None
    _strategy: str | None
    _address: int
    _handle: Tensor | None = None  # of those that have a form in compiled graphs

    if TYPE_CHECKING:  # of the cell beside it

        def _bind(self, address: int, nbytes: int, /) -> None: ...

    def _obtain(self, name: str | None, tensor: Tensor | None, fill: _named.Fill) -> None:
        """Get memory, which ``fill`` initialises unless it is given, or ``name`` means some."""
        file: _named.NamedFile | None
        if tensor is not None:
            if name is not None:
                raise TypeError(f"{self._kind.name}: name must not be given with tensor, got both")
            memory, file = given_memory(self._kind, tensor), None
        elif name is None:
            memory, file = shared_zeros(self._kind.shape, self._kind.dtype), None
            fill(memory)
        else:
            memory, file = _named.attach(self._kind, name, fill)
        self._adopt(memory, file)

    def _adopt(self, tensor: Tensor, file: _named.NamedFile | None = None) -> None:
        self._tensor = tensor
        self._file = file
        # Under another strategy torch would move the memory when it is sent.
        self._strategy = strategy_of(tensor)
        self._address = tensor.data_ptr()
        self._bind(self._address, tensor.numel() * tensor.itemsize)

    def __init_subclass__(cls) -> None:
        """Teach multiprocessing, and only it, to pickle the class."""
        super().__init_subclass__()
        ForkingPickler.register(cls, _reduce)

    @property
    def tensor(self) -> Tensor:
        """The shared tensor inside, for the registered ops and for C++. Plain writes to it race."""
        self._check_not_moved()
        return self._tensor.detach()

    @property
    def name(self) -> str | None:
        """The name that it was made with or attached by, or None. Stays after :meth:`unlink`."""
        return self._file.name if self._file else None

    @property
    def handle(self) -> Tensor:
        """The handle that its methods use in compiled graphs, of this process; lives as it does.

        That of a Counter or AtomicBool names a tensor of no dimension.

        Raises:
            RuntimeError: if the class has no such methods.
        """
        if self._handle is None:
            raise RuntimeError(
                f"{type(self).__name__}: it has no handle, and works outside of graphs"
            )
        return self._handle

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

    def _arrived(self) -> None:
        """Note what has to be noted about an object that another process sent."""

    def _check_sendable(self) -> None:
        check_strategy(type(self).__name__, self._strategy)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        name = type(self).__name__
        raise TypeError(
            f"cannot pickle or copy {name}: the copy would share nothing. Pass it to a process "
            "or a queue of torch.multiprocessing, which shares it; checkpoints save what it holds"
        )


def _reduce(shared: SharedObject) -> tuple[Any, ...]:
    shared._check_not_moved()
    # What others set on the object, or a subclass, travels too.
    settings = {key: value for key, value in vars(shared).items() if key not in shared._LOCAL}
    if shared._file is not None:
        if not shared._file.is_at_its_name():
            _named.fail_sent(shared._file)
        return _rebuild_named, (type(shared), shared._file, settings)
    shared._check_sendable()
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
    shared._arrived()
    return shared
