"""Every registered op once, with arguments to call it with. The tests iterate over this table."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
DTYPES = (torch.bool, *INTEGERS, *FLOATS)
NUMBERS = (*INTEGERS, *FLOATS)
BITS = (torch.bool, *INTEGERS)

_ops = torch.ops.atomics


@dataclass(frozen=True)
class Op:
    """An op with its overload.

    ``arguments(dtype)`` makes fresh ones, target first, or the mutex; ``dtypes`` are target's.
    """

    name: str
    arguments: Callable[[torch.dtype], tuple[Any, ...]]
    dtypes: tuple[torch.dtype, ...] = DTYPES
    keywords: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def overload(self) -> Any:
        packet, _, overload = self.name.partition(".")
        return getattr(getattr(_ops, packet), overload or "default")

    @property
    def returns_numbers(self) -> bool:
        returns = self.overload._schema.returns
        return any(not isinstance(r.type, torch.TensorType) for r in returns)

    @property
    def takes_operands(self) -> bool:
        """Whether tensors of target's dtype follow target."""
        return self.name in _DENSE_OPERANDS


def matrix(dtype: torch.dtype) -> Tensor:
    return torch.arange(6).reshape(2, 3).to(dtype)


def row(dtype: torch.dtype, start: int = 1) -> Tensor:
    return torch.arange(start, start + 3).to(dtype)


# name -> number of tensors of target's dtype that follow target, and the dtypes
_DENSE = {
    "load": (0, DTYPES),
    "store_": (1, DTYPES),
    "exchange": (1, DTYPES),
    "compare_exchange": (2, DTYPES),
    "fetch_add": (1, NUMBERS),
    "fetch_sub": (1, NUMBERS),
    "fetch_min": (1, DTYPES),
    "fetch_max": (1, DTYPES),
    "fetch_and": (1, BITS),
    "fetch_or": (1, BITS),
    "fetch_xor": (1, BITS),
    "fetch_add_below": (2, NUMBERS),
    "fetch_add_checked": (1, INTEGERS),
    "add_": (1, NUMBERS),
    "sub_": (1, NUMBERS),
    "min_": (1, DTYPES),
    "max_": (1, DTYPES),
    "and_": (1, BITS),
    "or_": (1, BITS),
    "xor_": (1, BITS),
}
_DENSE_OPERANDS = {name: count for name, (count, _) in _DENSE.items() if count}

DENSE = [
    Op(name, lambda dtype, n=n: (matrix(dtype), *(row(dtype, k) for k in range(n))), dtypes)
    for name, (n, dtypes) in _DENSE.items()
]


def number_ops(dense: Op) -> list[Op]:
    """The overloads of a dense op for one element and plain numbers."""
    count = _DENSE_OPERANDS.get(dense.name, 0)
    kinds = {"int": (1, BITS), "float": (2.5, FLOATS)}
    ops = []
    for kind, (number, of_kind) in kinds.items():
        dtypes = tuple(dtype for dtype in dense.dtypes if dtype in of_kind)
        arguments = (number,) * count
        if dtypes:
            ops.append(
                Op(
                    f"{dense.name}.{kind}",
                    lambda dtype, arguments=arguments: (torch.ones(1, dtype=dtype), *arguments),
                    dtypes,
                )
            )
    return ops


# Those with one operand, which are described in meaning.py.
ONE_OPERAND = [op for op in DENSE if _DENSE_OPERANDS.get(op.name) == 1 and "checked" not in op.name]
FETCHING = {op.name for op in ONE_OPERAND if not op.name.endswith("_")}

NUMBER = [op for dense in DENSE for op in number_ops(dense)]

# name -> number of tensors like source that follow index, and the dtypes
_INDEXED = {
    "index_add_": (1, NUMBERS),
    "index_min_": (1, DTYPES),
    "index_max_": (1, DTYPES),
    "index_and_": (1, BITS),
    "index_or_": (1, BITS),
    "index_fetch_add": (1, NUMBERS),
    "index_exchange": (1, DTYPES),
    "index_compare_exchange": (2, DTYPES),
}
INDEXED = [
    Op(
        name,
        lambda dtype, n=n: (
            matrix(dtype),
            0,
            torch.tensor([1, 0, 1]),
            *(torch.ones(3, 3, dtype=dtype),) * n,
        ),
        dtypes,
    )
    for name, (n, dtypes) in _INDEXED.items()
]

WAIT = [
    Op("wait", lambda dtype: (torch.zeros(1, dtype=dtype), 0, 0.0), (torch.int32, torch.int64)),
    Op("notify", lambda dtype: (torch.zeros(1, dtype=dtype), 1), (torch.int32, torch.int64)),
]


def locked_mutex() -> Tensor:
    mutex = _ops.create_mutex()
    _ops.mutex_lock(mutex)
    return mutex


def orphaned_mutex(n: int = 1) -> Tensor:
    """A bank whose last mutex this thread holds, after a thread that held it ended."""
    bank = _ops.create_mutex(n)
    thread = threading.Thread(target=_ops.mutex_lock, args=(bank, n - 1))
    thread.start()
    thread.join()
    _ops.mutex_lock(bank, n - 1)
    return bank


_BYTES = (torch.uint8,)
_FLAG = (torch.int32,)
MUTEX = [
    Op("create_mutex", lambda _: (2,), _BYTES),
    Op("create_mutex.like", lambda _: (torch.zeros(1), 2), _BYTES),
    Op("mutex_init_", lambda _: (torch.zeros(2, 128, dtype=torch.uint8).share_memory_(),), _BYTES),
    Op("mutex_lock", lambda _: (_ops.create_mutex(),), _BYTES),
    Op("mutex_try_lock", lambda _: (_ops.create_mutex(),), _BYTES),
    Op("mutex_owner", lambda _: (_ops.create_mutex(),), _BYTES),
    Op("mutex_unlock", lambda _: (locked_mutex(),), _BYTES),
    Op("mutex_consistent", lambda _: (orphaned_mutex(),), _BYTES),
    Op("mutex_recoveries", lambda _: (_ops.create_mutex(2),), _BYTES),
]
CAFFE2 = [
    Op(
        name,
        lambda dtype: (_ops.create_mutex(), torch.tensor(7).to(dtype), torch.tensor(2).to(dtype)),
        (dtype,),
    )
    for name, dtype in {"atomic_fetch_add": torch.int32, "atomic_fetch_add64": torch.int64}.items()
] + [
    Op("atomic_iter", lambda _: (_ops.create_mutex(), torch.tensor([7])), (torch.int64,)),
    Op("create_atomic_bool", lambda _: (), _FLAG),
    Op("create_atomic_bool.like", lambda _: (torch.zeros(1),), _FLAG),
    Op(
        "conditional_set_atomic_bool",
        lambda _: (_ops.create_atomic_bool(), torch.tensor(True)),
        _FLAG,
    ),
    Op("check_atomic_bool", lambda _: (_ops.create_atomic_bool(),), _FLAG),
]

FUSED_DTYPES = (torch.float32, torch.float64, torch.bfloat16)


def moment_dtype(dtype: torch.dtype) -> torch.dtype:
    """What a parameter of a dtype is stepped in."""
    return torch.float32 if dtype == torch.bfloat16 else dtype


def lists_to_step(dtype: torch.dtype, *moments: int) -> tuple[Any, ...]:
    """Arguments of a fused op on two parameters, ``moments`` the numbers in the lists of those."""
    start = torch.zeros(2, 3, dtype=moment_dtype(dtype))
    return (
        _ops.create_mutex(2),
        [matrix(dtype), matrix(dtype)],
        [torch.ones(2, 3, dtype=dtype) for _ in range(2)],
        *([start.clone() for _ in range(count)] for count in moments),
        torch.zeros(2, dtype=torch.int64),
        [0, 1],
    )


def rows_to_step(dtype: torch.dtype) -> tuple[Any, ...]:
    sums = torch.zeros(2, 3, dtype=moment_dtype(dtype))
    rows = torch.tensor([1, 0, 1]), torch.ones(3, 3, dtype=dtype)
    steps = torch.zeros(1, dtype=torch.int64)
    return (_ops.create_mutex(2), matrix(dtype), 0, *rows, sums, steps)


_LR = {"lr": 0.5}
FUSED = [
    Op("guarded_sgd_", lambda d: lists_to_step(d, 2), FUSED_DTYPES, _LR | {"momentum": 0.5}),
    Op("guarded_adagrad_", lambda d: lists_to_step(d, 2), FUSED_DTYPES, _LR),
    Op("guarded_adam_", lambda d: lists_to_step(d, 2, 2, 2), FUSED_DTYPES, _LR | {"amsgrad": True}),
    Op("guarded_index_adagrad_", rows_to_step, FUSED_DTYPES, _LR),
]
GUARDED = [
    Op("guarded_load", lambda d: (_ops.create_mutex(2), matrix(d))),
    Op("guarded_store_", lambda d: (_ops.create_mutex(2), matrix(d), row(d))),
    Op("guarded_exchange", lambda d: (_ops.create_mutex(2), matrix(d), row(d))),
    Op("guarded_add_", lambda d: (_ops.create_mutex(2), matrix(d), row(d)), NUMBERS),
    Op(
        "guarded_rebase_",
        lambda d: (_ops.create_mutex(2), matrix(d), row(d), matrix(d)),
        NUMBERS,
    ),
    Op(
        "guarded_index_add_",
        lambda d: (
            _ops.create_mutex(2),
            matrix(d),
            0,
            torch.tensor([1, 0, 1]),
            torch.ones(3, 3, dtype=d),
        ),
        NUMBERS,
    ),
    Op(
        "guarded_copy_",
        lambda d: ([_ops.create_mutex(2)], [matrix(d)], [0], [matrix(d)], [matrix(d)]),
    ),
    *FUSED,
]


def guarded_handle(dtype: torch.dtype) -> Tensor:
    return _ops.handle.guarded(_ops.create_mutex(2), matrix(dtype))


HANDLES = [
    Op("handle_load", lambda d: (_ops.handle(matrix(d)), [2, 3], d)),
    Op("handle_store_", lambda d: (_ops.handle(matrix(d)), row(d))),
    Op("handle_add_", lambda d: (_ops.handle(matrix(d)), row(d)), NUMBERS),
    Op("handle_fetch_add", lambda d: (_ops.handle(matrix(d)), matrix(d)), NUMBERS),
    Op("handle_guarded_add_", lambda d: (guarded_handle(d), row(d)), NUMBERS),
    Op(
        "handle_guarded_add_.list",
        lambda d: (guarded_handle(d), [guarded_handle(d)], [row(d), matrix(d)]),
        NUMBERS,
    ),
    Op("handle_after", lambda d: (_ops.handle(matrix(d)), [row(d), matrix(d)])),
]
REGISTRY = [
    Op("handle", lambda d: (matrix(d),)),
    Op("handle.guarded", lambda d: (_ops.create_mutex(2), matrix(d))),
    Op("handle_release", lambda d: (_ops.handle(matrix(d)),)),
]

ALL = DENSE + NUMBER + INDEXED + WAIT + MUTEX + CAFFE2 + GUARDED + HANDLES + REGISTRY

# Ops whose mutex argument no copy can stand in for; opcheck copies its inputs.
WITH_MUTEX = {op.name for op in MUTEX + CAFFE2[:3] + GUARDED if not op.name.startswith("create")}
