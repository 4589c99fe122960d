"""A tensor that many threads and processes change, exactly and as fast as with races."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, NoReturn

import torch
from torch import Tensor

from . import _bank, _guarded_data, _guarded_file, _handles, _named, _owners, _traced, ops
from ._shared import SharedObject, check_strategy, strategy_of
from ._shared_file import GUARDED_TENSOR, Kind
from .ops._operand import Number


class GuardedTensor(SharedObject):
    """A shared tensor under a bank of mutexes, each over some stripes of 16 KiB.

    Updates from any number of threads and processes are exact, and cost what racy ones do: inside a
    stripe they are plain vector loops. For a table of counts, statistics, embeddings; for weights
    there is :mod:`caffe2op_atomics.optim`, which has banks of its own. Send it to other processes
    as an argument of a torch.multiprocessing process or through a queue; plain pickle and copy
    raise TypeError.

    Every method that changes elements holds the locks of one stripe after the other, blocks while
    another holds them, and leaves each element changed or not if its process dies; the others go
    on. Gradients are neither recorded nor propagated. To subtract, ``add_(x, alpha=-1)``; to read
    an element, ``tensor``.

    Args:
        data: a tensor to guard where it is: its memory is moved to shared memory first if it is not
            there yet, and the tensor stays a view of it, for reading. Or a shape, for zeros.
        dtype: of zeros; torch's default dtype if None.
        bank: guard with the bank of another one, so that ``snapshot`` can take many at once, which
            hold at most 1024 mutexes together. Begin with the largest. Not with ``name``.
        name: attach to the tensor of this name, **which keeps its values**, or create it, with the
            values of ``data``, if there is none: for processes of one user on one host that have no
            common parent. It stays in /dev/shm until :meth:`unlink`.

    Raises:
        TypeError: for a wrong kind of argument.
        ValueError: if ``name`` is not 1 to 200 characters of ``A-Z a-z 0-9 . _ -``.
        RuntimeError: if ``data`` cannot be guarded or is guarded already, or has more than 8
            dimensions; if ``name`` means something else.

    Example:
        >>> counts = GuardedTensor([3], dtype=torch.int64)
        >>> counts.index_add_(0, torch.tensor([2, 0, 2]), 1)
        GuardedTensor([1, 0, 2])
        >>> counts.add_(10).exchange(0)
        tensor([11, 10, 12])
        >>> counts.snapshot()
        tensor([0, 0, 0])
    """

    _LOCAL: ClassVar[frozenset[str]] = SharedObject._LOCAL | {"_bank", "_named_data"}

    _first = 0
    _claim: _owners.Claim | None = None
    _adopted: Tensor | None = None  # None if the tensor lies in a named file
    _kind: Kind = GUARDED_TENSOR

    def __init__(
        self,
        data: Tensor | Iterable[int],
        *,
        dtype: torch.dtype | None = None,
        bank: GuardedTensor | None = None,
        name: str | None = None,
    ) -> None:
        is_tensor = isinstance(data, Tensor)
        if is_tensor and dtype is not None:
            raise TypeError("GuardedTensor: dtype must not be given with a tensor, got both")
        if bank is not None and not isinstance(bank, GuardedTensor):
            raise TypeError(
                f"GuardedTensor: bank must be a GuardedTensor, got {type(bank).__name__}"
            )
        if bank is not None and name is not None:
            raise TypeError("GuardedTensor: bank must not be given with name, got both")
        tensor = data if isinstance(data, Tensor) else _guarded_data.zeros(data, dtype)
        _guarded_data.check(tensor)
        if name is not None:
            self._attach(name, tensor)
            return
        self._adopted = tensor.detach()
        if not tensor.is_shared():  # or torch would move memory of the other sharing strategy
            self._adopted.share_memory_()
        claim = _owners.claim(self, [self._adopted]) if is_tensor else None
        if isinstance(claim, str):
            raise RuntimeError(
                f"GuardedTensor: data must be guarded once, got memory of {claim}: send that one"
            )
        self._claim = claim
        if bank is None:
            (self._first,), size = _bank.place([self._adopted])
            self._adopt(_bank.new_bank(size))
        else:
            stripes = -(-bank._data.untyped_storage().nbytes() // _bank.STRIPE_BYTES)
            self._first = (bank._first + stripes) % len(bank._bank)
            self._adopt(bank._bank)
        self._arrived()

    def _attach(self, name: str, tensor: Tensor) -> None:
        self._kind = _guarded_file.kind_of(tensor)
        memory, file = _named.attach(
            self._kind, name, lambda memory: _guarded_file.fill(memory, self._kind, tensor)
        )
        self._adopt(memory, file)
        self._arrived()

    def _arrived(self) -> None:
        _owners.adopt(self, [self._data])
        self._handle = _handles.of_guarded(self, self._bank, self._data, self._first)

    def _adopt(self, tensor: Tensor, file: _named.NamedFile | None = None) -> None:
        super()._adopt(tensor, file)
        if file is None:
            self._bank = tensor
            return
        self._kind = file.kind
        self._bank, self._named_data = _guarded_file.parts(tensor, file.kind)

    def _bind(self, address: int, nbytes: int, /) -> None:
        pass

    def _check_not_moved(self) -> None:
        super()._check_not_moved()
        if self._adopted is not None and not self._adopted.is_shared():
            raise RuntimeError("GuardedTensor: tensor must stay shared, got one that was moved")

    def _check_sendable(self) -> None:
        super()._check_sendable()
        if self._adopted is not None:
            check_strategy("GuardedTensor", strategy_of(self._adopted))

    @property
    def _data(self) -> Tensor:
        return self._named_data if self._adopted is None else self._adopted

    @property
    def tensor(self) -> Tensor:
        """The tensor itself, for reading: elements are whole, but may be of different moments.

        A plain write to it may be lost, and may undo what others do.
        """
        return self._data.detach()

    @property
    def shape(self) -> torch.Size:
        """The shape of the tensor."""
        return self._data.shape

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the tensor."""
        return self._data.dtype

    @property
    def recoveries(self) -> int:
        """How many threads and processes died while they held a stripe, so far."""
        return int(torch.ops.atomics.mutex_recoveries.default(self._bank)[0])

    def add_(self, other: Tensor | Number, alpha: Number = 1) -> GuardedTensor:
        """Add ``alpha * other``, which broadcasts, and return self.

        Raises:
            RuntimeError, TypeError, ValueError: as :func:`caffe2op_atomics.ops.guarded_add_`.
        """
        if torch.compiler.is_dynamo_compiling():
            _traced.guarded_add_(self, other, alpha)
        else:
            ops.guarded_add_(self._bank, self._data, other, alpha, self._first)
        return self

    def index_add_(
        self, dim: int, index: Tensor, source: Tensor | Number, alpha: Number = 1
    ) -> GuardedTensor:
        """Add ``alpha * source[i]``, or a number, to row ``index[i]`` for every i; return self.

        Args:
            dim: 0.
            index: int32 or int64 of one dimension.
            source: of shape ``[len(index), *shape[1:]]``, or a number.
            alpha: a factor.

        Raises:
            RuntimeError, TypeError, ValueError: as :func:`caffe2op_atomics.ops.guarded_index_add_`.
        """
        ops.guarded_index_add_(self._bank, self._data, dim, index, source, alpha, self._first)
        return self

    def exchange(self, other: Tensor | Number) -> Tensor:
        """Write ``other``, which broadcasts, and return what was there before.

        Raises:
            RuntimeError, TypeError, ValueError: as :func:`caffe2op_atomics.ops.guarded_exchange`.
        """
        return ops.guarded_exchange(self._bank, self._data, other, self._first)

    def store_(self, other: Tensor | Number) -> GuardedTensor:
        """Write ``other``, which broadcasts, and return self.

        Raises:
            RuntimeError, TypeError, ValueError: as :func:`caffe2op_atomics.ops.guarded_store_`.
        """
        ops.guarded_store_(self._bank, self._data, other, self._first)
        return self

    def snapshot(self) -> Tensor:
        """Return a copy of one moment.

        An update that is under way then is in it or not, stripe by stripe of 16 KiB: as a whole in
        a tensor that has no more than one.
        """
        return ops.guarded_load(self._bank, self._data, consistent=True, first=self._first)

    def __bool__(self) -> NoReturn:
        raise TypeError("a GuardedTensor is neither true nor false; ask its snapshot()")

    def __repr__(self) -> str:
        lines = str(self.snapshot()).removeprefix("tensor")
        return f"GuardedTensor{lines}".replace("\n", "\n" + " " * len("Guarded"))
