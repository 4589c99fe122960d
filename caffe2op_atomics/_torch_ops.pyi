# The ops of csrc/schema.cpp, written by tools/stubs.py.

# An overload is an attribute of that name.
from builtins import float as _float
from builtins import int as _int
from collections.abc import Sequence
from typing import Any, overload

import torch
from torch import Tensor
from torch._ops import OpOverload

class _Op:
    def overloads(self) -> list[str]: ...

class _AddDefault(OpOverload[..., Any]):
    def __call__(
        self, target: Tensor, other: Tensor, alpha: _float = 1.0, seed: _int | None = None
    ) -> None: ...

class _AddInt(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: _int) -> None: ...

class _AddFloat(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: _float) -> None: ...

class _Add(_Op):
    @overload
    def __call__(
        self, target: Tensor, other: Tensor, alpha: _float = 1.0, seed: _int | None = None
    ) -> None: ...
    @overload
    def __call__(self, target: Tensor, other: _int) -> None: ...
    @overload
    def __call__(self, target: Tensor, other: _float) -> None: ...
    default: _AddDefault
    int: _AddInt
    float: _AddFloat

class _AndDefault(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: Tensor) -> None: ...

class _AndInt(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: _int) -> None: ...

class _And(_Op):
    @overload
    def __call__(self, target: Tensor, other: Tensor) -> None: ...
    @overload
    def __call__(self, target: Tensor, other: _int) -> None: ...
    default: _AndDefault
    int: _AndInt

class _AtomicFetchAddDefault(OpOverload[..., Any]):
    def __call__(
        self, mutex: Tensor, mut_value: Tensor, increment: Tensor
    ) -> tuple[Tensor, Tensor]: ...

class _AtomicFetchAdd(_Op):
    def __call__(
        self, mutex: Tensor, mut_value: Tensor, increment: Tensor
    ) -> tuple[Tensor, Tensor]: ...
    default: _AtomicFetchAddDefault

class _AtomicFetchAdd64Default(OpOverload[..., Any]):
    def __call__(
        self, mutex: Tensor, mut_value: Tensor, increment: Tensor
    ) -> tuple[Tensor, Tensor]: ...

class _AtomicFetchAdd64(_Op):
    def __call__(
        self, mutex: Tensor, mut_value: Tensor, increment: Tensor
    ) -> tuple[Tensor, Tensor]: ...
    default: _AtomicFetchAdd64Default

class _AtomicIterDefault(OpOverload[..., Any]):
    def __call__(self, mutex: Tensor, iter: Tensor) -> Tensor: ...

class _AtomicIter(_Op):
    def __call__(self, mutex: Tensor, iter: Tensor) -> Tensor: ...
    default: _AtomicIterDefault

class _CheckAtomicBoolDefault(OpOverload[..., Any]):
    def __call__(self, atomic_bool: Tensor) -> Tensor: ...

class _CheckAtomicBool(_Op):
    def __call__(self, atomic_bool: Tensor) -> Tensor: ...
    default: _CheckAtomicBoolDefault

class _CompareExchangeDefault(OpOverload[..., Any]):
    def __call__(
        self, target: Tensor, expected: Tensor, desired: Tensor
    ) -> tuple[Tensor, Tensor]: ...

class _CompareExchangeInt(OpOverload[..., Any]):
    def __call__(self, target: Tensor, expected: _int, desired: _int) -> tuple[_int, bool]: ...

class _CompareExchangeFloat(OpOverload[..., Any]):
    def __call__(
        self, target: Tensor, expected: _float, desired: _float
    ) -> tuple[_float, bool]: ...

class _CompareExchange(_Op):
    @overload
    def __call__(
        self, target: Tensor, expected: Tensor, desired: Tensor
    ) -> tuple[Tensor, Tensor]: ...
    @overload
    def __call__(self, target: Tensor, expected: _int, desired: _int) -> tuple[_int, bool]: ...
    @overload
    def __call__(
        self, target: Tensor, expected: _float, desired: _float
    ) -> tuple[_float, bool]: ...
    default: _CompareExchangeDefault
    int: _CompareExchangeInt
    float: _CompareExchangeFloat

class _ConditionalSetAtomicBoolDefault(OpOverload[..., Any]):
    def __call__(self, atomic_bool: Tensor, condition: Tensor) -> None: ...

class _ConditionalSetAtomicBool(_Op):
    def __call__(self, atomic_bool: Tensor, condition: Tensor) -> None: ...
    default: _ConditionalSetAtomicBoolDefault

class _CreateAtomicBoolDefault(OpOverload[..., Any]):
    def __call__(self, *, device: torch.device | str | None = None) -> Tensor: ...

class _CreateAtomicBoolLike(OpOverload[..., Any]):
    def __call__(self, token: Tensor) -> Tensor: ...

class _CreateAtomicBool(_Op):
    @overload
    def __call__(self, *, device: torch.device | str | None = None) -> Tensor: ...
    @overload
    def __call__(self, token: Tensor) -> Tensor: ...
    default: _CreateAtomicBoolDefault
    like: _CreateAtomicBoolLike

class _CreateMutexDefault(OpOverload[..., Any]):
    def __call__(self, n: _int = 1, *, device: torch.device | str | None = None) -> Tensor: ...

class _CreateMutexLike(OpOverload[..., Any]):
    def __call__(self, token: Tensor, n: _int = 1) -> Tensor: ...

class _CreateMutex(_Op):
    @overload
    def __call__(self, n: _int = 1, *, device: torch.device | str | None = None) -> Tensor: ...
    @overload
    def __call__(self, token: Tensor, n: _int = 1) -> Tensor: ...
    default: _CreateMutexDefault
    like: _CreateMutexLike

class _ExchangeDefault(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: Tensor) -> Tensor: ...

class _ExchangeInt(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: _int) -> _int: ...

class _ExchangeFloat(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: _float) -> _float: ...

class _Exchange(_Op):
    @overload
    def __call__(self, target: Tensor, other: Tensor) -> Tensor: ...
    @overload
    def __call__(self, target: Tensor, other: _int) -> _int: ...
    @overload
    def __call__(self, target: Tensor, other: _float) -> _float: ...
    default: _ExchangeDefault
    int: _ExchangeInt
    float: _ExchangeFloat

class _FetchAddDefault(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: Tensor) -> Tensor: ...

class _FetchAddInt(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: _int) -> _int: ...

class _FetchAddFloat(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: _float) -> _float: ...

class _FetchAdd(_Op):
    @overload
    def __call__(self, target: Tensor, other: Tensor) -> Tensor: ...
    @overload
    def __call__(self, target: Tensor, other: _int) -> _int: ...
    @overload
    def __call__(self, target: Tensor, other: _float) -> _float: ...
    default: _FetchAddDefault
    int: _FetchAddInt
    float: _FetchAddFloat

class _FetchAddBelowDefault(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: Tensor, limit: Tensor) -> tuple[Tensor, Tensor]: ...

class _FetchAddBelowInt(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: _int, limit: _int) -> tuple[_int, bool]: ...

class _FetchAddBelowFloat(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: _float, limit: _float) -> tuple[_float, bool]: ...

class _FetchAddBelow(_Op):
    @overload
    def __call__(self, target: Tensor, other: Tensor, limit: Tensor) -> tuple[Tensor, Tensor]: ...
    @overload
    def __call__(self, target: Tensor, other: _int, limit: _int) -> tuple[_int, bool]: ...
    @overload
    def __call__(self, target: Tensor, other: _float, limit: _float) -> tuple[_float, bool]: ...
    default: _FetchAddBelowDefault
    int: _FetchAddBelowInt
    float: _FetchAddBelowFloat

class _FetchAddCheckedDefault(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: Tensor) -> tuple[Tensor, Tensor]: ...

class _FetchAddCheckedInt(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: _int) -> tuple[_int, bool]: ...

class _FetchAddChecked(_Op):
    @overload
    def __call__(self, target: Tensor, other: Tensor) -> tuple[Tensor, Tensor]: ...
    @overload
    def __call__(self, target: Tensor, other: _int) -> tuple[_int, bool]: ...
    default: _FetchAddCheckedDefault
    int: _FetchAddCheckedInt

class _FetchAndDefault(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: Tensor) -> Tensor: ...

class _FetchAndInt(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: _int) -> _int: ...

class _FetchAnd(_Op):
    @overload
    def __call__(self, target: Tensor, other: Tensor) -> Tensor: ...
    @overload
    def __call__(self, target: Tensor, other: _int) -> _int: ...
    default: _FetchAndDefault
    int: _FetchAndInt

class _FetchMaxDefault(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: Tensor) -> Tensor: ...

class _FetchMaxInt(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: _int) -> _int: ...

class _FetchMaxFloat(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: _float) -> _float: ...

class _FetchMax(_Op):
    @overload
    def __call__(self, target: Tensor, other: Tensor) -> Tensor: ...
    @overload
    def __call__(self, target: Tensor, other: _int) -> _int: ...
    @overload
    def __call__(self, target: Tensor, other: _float) -> _float: ...
    default: _FetchMaxDefault
    int: _FetchMaxInt
    float: _FetchMaxFloat

class _FetchMinDefault(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: Tensor) -> Tensor: ...

class _FetchMinInt(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: _int) -> _int: ...

class _FetchMinFloat(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: _float) -> _float: ...

class _FetchMin(_Op):
    @overload
    def __call__(self, target: Tensor, other: Tensor) -> Tensor: ...
    @overload
    def __call__(self, target: Tensor, other: _int) -> _int: ...
    @overload
    def __call__(self, target: Tensor, other: _float) -> _float: ...
    default: _FetchMinDefault
    int: _FetchMinInt
    float: _FetchMinFloat

class _FetchOrDefault(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: Tensor) -> Tensor: ...

class _FetchOrInt(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: _int) -> _int: ...

class _FetchOr(_Op):
    @overload
    def __call__(self, target: Tensor, other: Tensor) -> Tensor: ...
    @overload
    def __call__(self, target: Tensor, other: _int) -> _int: ...
    default: _FetchOrDefault
    int: _FetchOrInt

class _FetchSubDefault(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: Tensor) -> Tensor: ...

class _FetchSubInt(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: _int) -> _int: ...

class _FetchSubFloat(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: _float) -> _float: ...

class _FetchSub(_Op):
    @overload
    def __call__(self, target: Tensor, other: Tensor) -> Tensor: ...
    @overload
    def __call__(self, target: Tensor, other: _int) -> _int: ...
    @overload
    def __call__(self, target: Tensor, other: _float) -> _float: ...
    default: _FetchSubDefault
    int: _FetchSubInt
    float: _FetchSubFloat

class _FetchXorDefault(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: Tensor) -> Tensor: ...

class _FetchXorInt(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: _int) -> _int: ...

class _FetchXor(_Op):
    @overload
    def __call__(self, target: Tensor, other: Tensor) -> Tensor: ...
    @overload
    def __call__(self, target: Tensor, other: _int) -> _int: ...
    default: _FetchXorDefault
    int: _FetchXorInt

class _GuardedAdagradDefault(OpOverload[..., Any]):
    def __call__(
        self,
        mutex: Tensor,
        params: Sequence[Tensor],
        grads: Sequence[Tensor],
        state_sums: Sequence[Tensor],
        steps: Tensor,
        first: Sequence[_int],
        *,
        lr: _float,
        lr_decay: _float = 0.0,
        weight_decay: _float = 0.0,
        eps: _float = 1e-10,
        maximize: bool = False,
    ) -> None: ...

class _GuardedAdagrad(_Op):
    def __call__(
        self,
        mutex: Tensor,
        params: Sequence[Tensor],
        grads: Sequence[Tensor],
        state_sums: Sequence[Tensor],
        steps: Tensor,
        first: Sequence[_int],
        *,
        lr: _float,
        lr_decay: _float = 0.0,
        weight_decay: _float = 0.0,
        eps: _float = 1e-10,
        maximize: bool = False,
    ) -> None: ...
    default: _GuardedAdagradDefault

class _GuardedAdamDefault(OpOverload[..., Any]):
    def __call__(
        self,
        mutex: Tensor,
        params: Sequence[Tensor],
        grads: Sequence[Tensor],
        exp_avgs: Sequence[Tensor],
        exp_avg_sqs: Sequence[Tensor],
        max_exp_avg_sqs: Sequence[Tensor],
        steps: Tensor,
        first: Sequence[_int],
        *,
        lr: _float,
        beta1: _float = 0.9,
        beta2: _float = 0.999,
        eps: _float = 1e-08,
        weight_decay: _float = 0.0,
        decoupled_weight_decay: bool = False,
        amsgrad: bool = False,
        maximize: bool = False,
    ) -> None: ...

class _GuardedAdam(_Op):
    def __call__(
        self,
        mutex: Tensor,
        params: Sequence[Tensor],
        grads: Sequence[Tensor],
        exp_avgs: Sequence[Tensor],
        exp_avg_sqs: Sequence[Tensor],
        max_exp_avg_sqs: Sequence[Tensor],
        steps: Tensor,
        first: Sequence[_int],
        *,
        lr: _float,
        beta1: _float = 0.9,
        beta2: _float = 0.999,
        eps: _float = 1e-08,
        weight_decay: _float = 0.0,
        decoupled_weight_decay: bool = False,
        amsgrad: bool = False,
        maximize: bool = False,
    ) -> None: ...
    default: _GuardedAdamDefault

class _GuardedAddDefault(OpOverload[..., Any]):
    def __call__(
        self, mutex: Tensor, target: Tensor, other: Tensor, alpha: _float = 1.0, first: _int = 0
    ) -> None: ...

class _GuardedAdd(_Op):
    def __call__(
        self, mutex: Tensor, target: Tensor, other: Tensor, alpha: _float = 1.0, first: _int = 0
    ) -> None: ...
    default: _GuardedAddDefault

class _GuardedCopyDefault(OpOverload[..., Any]):
    def __call__(
        self,
        mutex: Sequence[Tensor],
        target: Sequence[Tensor],
        first: Sequence[_int],
        out: Sequence[Tensor],
        source: Sequence[Tensor],
    ) -> None: ...

class _GuardedCopy(_Op):
    def __call__(
        self,
        mutex: Sequence[Tensor],
        target: Sequence[Tensor],
        first: Sequence[_int],
        out: Sequence[Tensor],
        source: Sequence[Tensor],
    ) -> None: ...
    default: _GuardedCopyDefault

class _GuardedExchangeDefault(OpOverload[..., Any]):
    def __call__(self, mutex: Tensor, target: Tensor, other: Tensor, first: _int = 0) -> Tensor: ...

class _GuardedExchange(_Op):
    def __call__(self, mutex: Tensor, target: Tensor, other: Tensor, first: _int = 0) -> Tensor: ...
    default: _GuardedExchangeDefault

class _GuardedIndexAdagradDefault(OpOverload[..., Any]):
    def __call__(
        self,
        mutex: Tensor,
        target: Tensor,
        dim: _int,
        index: Tensor,
        source: Tensor,
        state_sum: Tensor,
        steps: Tensor,
        first: _int = 0,
        *,
        lr: _float,
        lr_decay: _float = 0.0,
        eps: _float = 1e-10,
        maximize: bool = False,
    ) -> None: ...

class _GuardedIndexAdagrad(_Op):
    def __call__(
        self,
        mutex: Tensor,
        target: Tensor,
        dim: _int,
        index: Tensor,
        source: Tensor,
        state_sum: Tensor,
        steps: Tensor,
        first: _int = 0,
        *,
        lr: _float,
        lr_decay: _float = 0.0,
        eps: _float = 1e-10,
        maximize: bool = False,
    ) -> None: ...
    default: _GuardedIndexAdagradDefault

class _GuardedIndexAddDefault(OpOverload[..., Any]):
    def __call__(
        self,
        mutex: Tensor,
        target: Tensor,
        dim: _int,
        index: Tensor,
        source: Tensor,
        alpha: _float = 1.0,
        first: _int = 0,
    ) -> None: ...

class _GuardedIndexAdd(_Op):
    def __call__(
        self,
        mutex: Tensor,
        target: Tensor,
        dim: _int,
        index: Tensor,
        source: Tensor,
        alpha: _float = 1.0,
        first: _int = 0,
    ) -> None: ...
    default: _GuardedIndexAddDefault

class _GuardedLoadDefault(OpOverload[..., Any]):
    def __call__(
        self, mutex: Tensor, target: Tensor, consistent: bool = False, first: _int = 0
    ) -> Tensor: ...

class _GuardedLoad(_Op):
    def __call__(
        self, mutex: Tensor, target: Tensor, consistent: bool = False, first: _int = 0
    ) -> Tensor: ...
    default: _GuardedLoadDefault

class _GuardedRebaseDefault(OpOverload[..., Any]):
    def __call__(
        self, mutex: Tensor, target: Tensor, seen: Tensor, fresh: Tensor, first: _int = 0
    ) -> None: ...

class _GuardedRebase(_Op):
    def __call__(
        self, mutex: Tensor, target: Tensor, seen: Tensor, fresh: Tensor, first: _int = 0
    ) -> None: ...
    default: _GuardedRebaseDefault

class _GuardedSgdDefault(OpOverload[..., Any]):
    def __call__(
        self,
        mutex: Tensor,
        params: Sequence[Tensor],
        grads: Sequence[Tensor],
        momentum_buffers: Sequence[Tensor],
        steps: Tensor,
        first: Sequence[_int],
        *,
        lr: _float,
        momentum: _float = 0.0,
        dampening: _float = 0.0,
        weight_decay: _float = 0.0,
        nesterov: bool = False,
        maximize: bool = False,
    ) -> None: ...

class _GuardedSgd(_Op):
    def __call__(
        self,
        mutex: Tensor,
        params: Sequence[Tensor],
        grads: Sequence[Tensor],
        momentum_buffers: Sequence[Tensor],
        steps: Tensor,
        first: Sequence[_int],
        *,
        lr: _float,
        momentum: _float = 0.0,
        dampening: _float = 0.0,
        weight_decay: _float = 0.0,
        nesterov: bool = False,
        maximize: bool = False,
    ) -> None: ...
    default: _GuardedSgdDefault

class _GuardedStoreDefault(OpOverload[..., Any]):
    def __call__(self, mutex: Tensor, target: Tensor, other: Tensor, first: _int = 0) -> None: ...

class _GuardedStore(_Op):
    def __call__(self, mutex: Tensor, target: Tensor, other: Tensor, first: _int = 0) -> None: ...
    default: _GuardedStoreDefault

class _HandleDefault(OpOverload[..., Any]):
    def __call__(self, target: Tensor, sleepers: _int = 0) -> Tensor: ...

class _HandleGuarded(OpOverload[..., Any]):
    def __call__(self, mutex: Tensor, target: Tensor, first: _int = 0) -> Tensor: ...

class _Handle(_Op):
    @overload
    def __call__(self, target: Tensor, sleepers: _int = 0) -> Tensor: ...
    @overload
    def __call__(self, mutex: Tensor, target: Tensor, first: _int = 0) -> Tensor: ...
    default: _HandleDefault
    guarded: _HandleGuarded

class _HandleAddDefault(OpOverload[..., Any]):
    def __call__(
        self, handle: Tensor, other: Tensor, alpha: _float = 1.0, seed: _int | None = None
    ) -> None: ...

class _HandleAdd(_Op):
    def __call__(
        self, handle: Tensor, other: Tensor, alpha: _float = 1.0, seed: _int | None = None
    ) -> None: ...
    default: _HandleAddDefault

class _HandleAfterDefault(OpOverload[..., Any]):
    def __call__(self, handle: Tensor, tensors: Sequence[Tensor]) -> None: ...

class _HandleAfter(_Op):
    def __call__(self, handle: Tensor, tensors: Sequence[Tensor]) -> None: ...
    default: _HandleAfterDefault

class _HandleFetchAddDefault(OpOverload[..., Any]):
    def __call__(self, handle: Tensor, other: Tensor) -> Tensor: ...

class _HandleFetchAdd(_Op):
    def __call__(self, handle: Tensor, other: Tensor) -> Tensor: ...
    default: _HandleFetchAddDefault

class _HandleGuardedAddDefault(OpOverload[..., Any]):
    def __call__(self, handle: Tensor, other: Tensor, alpha: _float = 1.0) -> None: ...

class _HandleGuardedAddList(OpOverload[..., Any]):
    def __call__(
        self, handle: Tensor, more: Sequence[Tensor], others: Sequence[Tensor], alpha: _float = 1.0
    ) -> None: ...

class _HandleGuardedAdd(_Op):
    @overload
    def __call__(self, handle: Tensor, other: Tensor, alpha: _float = 1.0) -> None: ...
    @overload
    def __call__(
        self, handle: Tensor, more: Sequence[Tensor], others: Sequence[Tensor], alpha: _float = 1.0
    ) -> None: ...
    default: _HandleGuardedAddDefault
    list: _HandleGuardedAddList

class _HandleLoadDefault(OpOverload[..., Any]):
    def __call__(self, handle: Tensor, size: Sequence[_int], dtype: torch.dtype) -> Tensor: ...

class _HandleLoad(_Op):
    def __call__(self, handle: Tensor, size: Sequence[_int], dtype: torch.dtype) -> Tensor: ...
    default: _HandleLoadDefault

class _HandleReleaseDefault(OpOverload[..., Any]):
    def __call__(self, handle: Tensor) -> None: ...

class _HandleRelease(_Op):
    def __call__(self, handle: Tensor) -> None: ...
    default: _HandleReleaseDefault

class _HandleStoreDefault(OpOverload[..., Any]):
    def __call__(self, handle: Tensor, other: Tensor) -> None: ...

class _HandleStore(_Op):
    def __call__(self, handle: Tensor, other: Tensor) -> None: ...
    default: _HandleStoreDefault

class _IndexAddDefault(OpOverload[..., Any]):
    def __call__(
        self, target: Tensor, dim: _int, index: Tensor, source: Tensor, alpha: _float = 1.0
    ) -> None: ...

class _IndexAdd(_Op):
    def __call__(
        self, target: Tensor, dim: _int, index: Tensor, source: Tensor, alpha: _float = 1.0
    ) -> None: ...
    default: _IndexAddDefault

class _IndexAndDefault(OpOverload[..., Any]):
    def __call__(self, target: Tensor, dim: _int, index: Tensor, source: Tensor) -> None: ...

class _IndexAnd(_Op):
    def __call__(self, target: Tensor, dim: _int, index: Tensor, source: Tensor) -> None: ...
    default: _IndexAndDefault

class _IndexCompareExchangeDefault(OpOverload[..., Any]):
    def __call__(
        self, target: Tensor, dim: _int, index: Tensor, expected: Tensor, desired: Tensor
    ) -> tuple[Tensor, Tensor]: ...

class _IndexCompareExchange(_Op):
    def __call__(
        self, target: Tensor, dim: _int, index: Tensor, expected: Tensor, desired: Tensor
    ) -> tuple[Tensor, Tensor]: ...
    default: _IndexCompareExchangeDefault

class _IndexExchangeDefault(OpOverload[..., Any]):
    def __call__(self, target: Tensor, dim: _int, index: Tensor, source: Tensor) -> Tensor: ...

class _IndexExchange(_Op):
    def __call__(self, target: Tensor, dim: _int, index: Tensor, source: Tensor) -> Tensor: ...
    default: _IndexExchangeDefault

class _IndexFetchAddDefault(OpOverload[..., Any]):
    def __call__(self, target: Tensor, dim: _int, index: Tensor, source: Tensor) -> Tensor: ...

class _IndexFetchAdd(_Op):
    def __call__(self, target: Tensor, dim: _int, index: Tensor, source: Tensor) -> Tensor: ...
    default: _IndexFetchAddDefault

class _IndexMaxDefault(OpOverload[..., Any]):
    def __call__(self, target: Tensor, dim: _int, index: Tensor, source: Tensor) -> None: ...

class _IndexMax(_Op):
    def __call__(self, target: Tensor, dim: _int, index: Tensor, source: Tensor) -> None: ...
    default: _IndexMaxDefault

class _IndexMinDefault(OpOverload[..., Any]):
    def __call__(self, target: Tensor, dim: _int, index: Tensor, source: Tensor) -> None: ...

class _IndexMin(_Op):
    def __call__(self, target: Tensor, dim: _int, index: Tensor, source: Tensor) -> None: ...
    default: _IndexMinDefault

class _IndexOrDefault(OpOverload[..., Any]):
    def __call__(self, target: Tensor, dim: _int, index: Tensor, source: Tensor) -> None: ...

class _IndexOr(_Op):
    def __call__(self, target: Tensor, dim: _int, index: Tensor, source: Tensor) -> None: ...
    default: _IndexOrDefault

class _LoadDefault(OpOverload[..., Any]):
    def __call__(self, target: Tensor) -> Tensor: ...

class _LoadInt(OpOverload[..., Any]):
    def __call__(self, target: Tensor) -> _int: ...

class _LoadFloat(OpOverload[..., Any]):
    def __call__(self, target: Tensor) -> _float: ...

class _Load(_Op):
    def __call__(self, target: Tensor) -> Tensor: ...
    default: _LoadDefault
    int: _LoadInt
    float: _LoadFloat

class _MaxDefault(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: Tensor) -> None: ...

class _MaxInt(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: _int) -> None: ...

class _MaxFloat(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: _float) -> None: ...

class _Max(_Op):
    @overload
    def __call__(self, target: Tensor, other: Tensor) -> None: ...
    @overload
    def __call__(self, target: Tensor, other: _int) -> None: ...
    @overload
    def __call__(self, target: Tensor, other: _float) -> None: ...
    default: _MaxDefault
    int: _MaxInt
    float: _MaxFloat

class _MinDefault(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: Tensor) -> None: ...

class _MinInt(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: _int) -> None: ...

class _MinFloat(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: _float) -> None: ...

class _Min(_Op):
    @overload
    def __call__(self, target: Tensor, other: Tensor) -> None: ...
    @overload
    def __call__(self, target: Tensor, other: _int) -> None: ...
    @overload
    def __call__(self, target: Tensor, other: _float) -> None: ...
    default: _MinDefault
    int: _MinInt
    float: _MinFloat

class _MutexConsistentDefault(OpOverload[..., Any]):
    def __call__(self, mutex: Tensor, i: _int = 0) -> None: ...

class _MutexConsistent(_Op):
    def __call__(self, mutex: Tensor, i: _int = 0) -> None: ...
    default: _MutexConsistentDefault

class _MutexInitDefault(OpOverload[..., Any]):
    def __call__(self, memory: Tensor) -> None: ...

class _MutexInit(_Op):
    def __call__(self, memory: Tensor) -> None: ...
    default: _MutexInitDefault

class _MutexLockDefault(OpOverload[..., Any]):
    def __call__(self, mutex: Tensor, i: _int = 0, timeout: _float = -1.0) -> _int: ...

class _MutexLock(_Op):
    def __call__(self, mutex: Tensor, i: _int = 0, timeout: _float = -1.0) -> _int: ...
    default: _MutexLockDefault

class _MutexOwnerDefault(OpOverload[..., Any]):
    def __call__(self, mutex: Tensor, i: _int = 0) -> _int: ...

class _MutexOwner(_Op):
    def __call__(self, mutex: Tensor, i: _int = 0) -> _int: ...
    default: _MutexOwnerDefault

class _MutexRecoveriesDefault(OpOverload[..., Any]):
    def __call__(self, mutex: Tensor) -> tuple[_int, _int]: ...

class _MutexRecoveries(_Op):
    def __call__(self, mutex: Tensor) -> tuple[_int, _int]: ...
    default: _MutexRecoveriesDefault

class _MutexTryLockDefault(OpOverload[..., Any]):
    def __call__(self, mutex: Tensor, i: _int = 0) -> _int: ...

class _MutexTryLock(_Op):
    def __call__(self, mutex: Tensor, i: _int = 0) -> _int: ...
    default: _MutexTryLockDefault

class _MutexUnlockDefault(OpOverload[..., Any]):
    def __call__(self, mutex: Tensor, i: _int = 0, pass_death_on: bool = False) -> None: ...

class _MutexUnlock(_Op):
    def __call__(self, mutex: Tensor, i: _int = 0, pass_death_on: bool = False) -> None: ...
    default: _MutexUnlockDefault

class _NotifyDefault(OpOverload[..., Any]):
    def __call__(self, target: Tensor, count: _int = -1) -> _int: ...

class _Notify(_Op):
    def __call__(self, target: Tensor, count: _int = -1) -> _int: ...
    default: _NotifyDefault

class _OrDefault(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: Tensor) -> None: ...

class _OrInt(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: _int) -> None: ...

class _Or(_Op):
    @overload
    def __call__(self, target: Tensor, other: Tensor) -> None: ...
    @overload
    def __call__(self, target: Tensor, other: _int) -> None: ...
    default: _OrDefault
    int: _OrInt

class _StoreDefault(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: Tensor) -> None: ...

class _StoreInt(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: _int) -> None: ...

class _StoreFloat(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: _float) -> None: ...

class _Store(_Op):
    @overload
    def __call__(self, target: Tensor, other: Tensor) -> None: ...
    @overload
    def __call__(self, target: Tensor, other: _int) -> None: ...
    @overload
    def __call__(self, target: Tensor, other: _float) -> None: ...
    default: _StoreDefault
    int: _StoreInt
    float: _StoreFloat

class _SubDefault(OpOverload[..., Any]):
    def __call__(
        self, target: Tensor, other: Tensor, alpha: _float = 1.0, seed: _int | None = None
    ) -> None: ...

class _SubInt(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: _int) -> None: ...

class _SubFloat(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: _float) -> None: ...

class _Sub(_Op):
    @overload
    def __call__(
        self, target: Tensor, other: Tensor, alpha: _float = 1.0, seed: _int | None = None
    ) -> None: ...
    @overload
    def __call__(self, target: Tensor, other: _int) -> None: ...
    @overload
    def __call__(self, target: Tensor, other: _float) -> None: ...
    default: _SubDefault
    int: _SubInt
    float: _SubFloat

class _WaitDefault(OpOverload[..., Any]):
    def __call__(self, target: Tensor, old: _int, timeout: _float = -1.0) -> bool: ...

class _Wait(_Op):
    def __call__(self, target: Tensor, old: _int, timeout: _float = -1.0) -> bool: ...
    default: _WaitDefault

class _XorDefault(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: Tensor) -> None: ...

class _XorInt(OpOverload[..., Any]):
    def __call__(self, target: Tensor, other: _int) -> None: ...

class _Xor(_Op):
    @overload
    def __call__(self, target: Tensor, other: Tensor) -> None: ...
    @overload
    def __call__(self, target: Tensor, other: _int) -> None: ...
    default: _XorDefault
    int: _XorInt

class TorchOps:
    add_: _Add
    and_: _And
    atomic_fetch_add: _AtomicFetchAdd
    atomic_fetch_add64: _AtomicFetchAdd64
    atomic_iter: _AtomicIter
    check_atomic_bool: _CheckAtomicBool
    compare_exchange: _CompareExchange
    conditional_set_atomic_bool: _ConditionalSetAtomicBool
    create_atomic_bool: _CreateAtomicBool
    create_mutex: _CreateMutex
    exchange: _Exchange
    fetch_add: _FetchAdd
    fetch_add_below: _FetchAddBelow
    fetch_add_checked: _FetchAddChecked
    fetch_and: _FetchAnd
    fetch_max: _FetchMax
    fetch_min: _FetchMin
    fetch_or: _FetchOr
    fetch_sub: _FetchSub
    fetch_xor: _FetchXor
    guarded_adagrad_: _GuardedAdagrad
    guarded_adam_: _GuardedAdam
    guarded_add_: _GuardedAdd
    guarded_copy_: _GuardedCopy
    guarded_exchange: _GuardedExchange
    guarded_index_adagrad_: _GuardedIndexAdagrad
    guarded_index_add_: _GuardedIndexAdd
    guarded_load: _GuardedLoad
    guarded_rebase_: _GuardedRebase
    guarded_sgd_: _GuardedSgd
    guarded_store_: _GuardedStore
    handle: _Handle
    handle_add_: _HandleAdd
    handle_after: _HandleAfter
    handle_fetch_add: _HandleFetchAdd
    handle_guarded_add_: _HandleGuardedAdd
    handle_load: _HandleLoad
    handle_release: _HandleRelease
    handle_store_: _HandleStore
    index_add_: _IndexAdd
    index_and_: _IndexAnd
    index_compare_exchange: _IndexCompareExchange
    index_exchange: _IndexExchange
    index_fetch_add: _IndexFetchAdd
    index_max_: _IndexMax
    index_min_: _IndexMin
    index_or_: _IndexOr
    load: _Load
    max_: _Max
    min_: _Min
    mutex_consistent: _MutexConsistent
    mutex_init_: _MutexInit
    mutex_lock: _MutexLock
    mutex_owner: _MutexOwner
    mutex_recoveries: _MutexRecoveries
    mutex_try_lock: _MutexTryLock
    mutex_unlock: _MutexUnlock
    notify: _Notify
    or_: _Or
    store_: _Store
    sub_: _Sub
    wait: _Wait
    xor_: _Xor

torch_ops: TorchOps
