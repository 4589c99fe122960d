"""What an optimizer is: parameters and moments in shared memory, under one bank of mutexes."""

from __future__ import annotations

import inspect
import operator
from collections import defaultdict
from collections.abc import Mapping, Sequence
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import torch
from torch import Tensor

from .. import _guarded_memory, _owners
from .._shared import check_strategy, has_gpu_kernels, strategy_of
from ._check import check_params
from ._memory import Memory, Plan, new_memory


class SharedState(torch.optim.Optimizer):
    """The shared memory of an optimizer, and its way to other processes."""

    _SHARED: ClassVar[tuple[str, ...]]  # the options that are shared
    _TAKES_GPU: ClassVar[bool] = False  # without moments

    _memory: Memory
    _claim: _owners.Claim
    _plans: list[Plan]
    _params: list[Tensor]  # of all plans
    _addresses: list[int]  # of the parameters
    _storages: list[torch.UntypedStorage]
    _strategies: list[str | None]

    @staticmethod
    def _moments(group: Mapping[str, Any]) -> dict[str, float]:
        """Return the names of a group's moments, and what they are before the first step."""
        raise NotImplementedError

    def __init_subclass__(cls) -> None:
        """Teach multiprocessing, and only it, to pickle the class."""
        super().__init_subclass__()
        ForkingPickler.register(cls, _reduce)
        # For help() and editors: the constructor is that of torch.optim's class.
        behind = cls.__mro__[cls.__mro__.index(SharedState) + 1]
        if behind is not torch.optim.Optimizer:
            cls.__signature__ = inspect.signature(behind)  # type: ignore[attr-defined]

    if not TYPE_CHECKING:  # which see that one, too

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._share()

    def _share(self) -> None:
        """Put everything into shared memory, after torch's constructor."""
        self._step_supports_amp_scaling = False  # fused or not: GradScaler has to unscale
        groups = self.param_groups
        params = [param for group in groups for param in group["params"]]
        gpu = self._TAKES_GPU and has_gpu_kernels() and not any(map(self._moments, groups))
        check_params(type(self).__name__, groups, params, gpu)
        claim = _owners.claim(self, params)
        if isinstance(claim, str):
            raise RuntimeError(
                f"{type(self).__name__}: parameters must have no other optimizer, got some of "
                f"{claim}: make one, before the processes start, and pass it to them together "
                "with the model"
            )
        self._claim = claim
        self._connect(new_memory(groups, self._SHARED, self._moments), groups)
        for plan, group in zip(self._plans, groups, strict=True):
            plan.group.store(group)
            for name, initial in self._moments(group).items():
                for moment in plan.moments[name]:
                    moment.fill_(initial)

    def _connect(self, memory: Memory, groups: Sequence[Mapping[str, Any]]) -> None:
        """Build over shared memory what each process has its own of."""
        self._memory = memory
        _guarded_memory.note(self, memory.flat.values())
        self._plans = memory.plans(groups, self._SHARED, self._moments)
        self._params = [param for plan in self._plans for param in plan.params]
        self._addresses = list(map(Tensor.data_ptr, self._params))
        # While these are kept, no other memory gets the addresses.
        self._storages = [param.untyped_storage() for param in self._params]
        self._strategies = [strategy_of(tensor) for tensor in self._shared()]
        self.param_groups = [plan.group for plan in self._plans]
        self.state = defaultdict(dict)
        for plan in self._plans:
            for k, param in enumerate(plan.params):
                moments = {name: of_name[k] for name, of_name in plan.moments.items()}
                self.state[param] = {"step": plan.steps[k], **moments}

    def _shared(self) -> list[Tensor]:
        memory = self._memory
        return [memory.bank, memory.steps, memory.cells, *memory.flat.values(), *self._params]

    def _check_not_moved(self) -> None:
        if list(map(Tensor.data_ptr, self._params)) != self._addresses:
            raise RuntimeError(
                f"{type(self).__name__}: parameters must stay where they were, got one that was "
                "moved (to(), .data = or vector_to_parameters): others no longer share it"
            )

    def _check_groups(self) -> None:
        same = len(self.param_groups) == len(self._plans)
        for group, plan in zip(self.param_groups, self._plans, strict=False):
            params = group["params"]
            same = same and group is plan.group and len(params) == len(plan.params)
            same = same and not any(map(operator.is_not, params, plan.params))
        if not same:
            raise RuntimeError(
                f"{type(self).__name__}: param_groups must stay as the constructor made them, but "
                "for their options, got others, which other processes would not see"
            )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Do what torch's does, for the constructor only: other processes would not see it."""
        if hasattr(self, "_plans"):
            raise RuntimeError(
                "add_param_group: groups must all be given to the constructor, got one later, "
                "which other processes would not see"
            )
        super().add_param_group(param_group)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(
            f"cannot pickle or copy {type(self).__name__}: the copy would share nothing. Pass it, "
            "together with its model, to a process or a queue of torch.multiprocessing; "
            "checkpoints save its state_dict()"
        )


def _reduce(optimizer: SharedState) -> tuple[Any, ...]:
    name = type(optimizer).__name__
    for strategy in optimizer._strategies:  # the reason, if the model was moved a moment ago
        check_strategy(name, strategy)
    optimizer._check_not_moved()
    groups = [{**plan.group, "params": plan.params} for plan in optimizer._plans]
    parts = (optimizer.defaults, groups, optimizer._memory, optimizer._claim)
    return _rebuild, (type(optimizer), *parts)


def _rebuild(
    cls: type[SharedState],
    defaults: dict[str, Any],
    groups: list[dict[str, Any]],
    memory: Memory,
    claim: _owners.Claim,
) -> SharedState:
    optimizer = cls.__new__(cls)
    # Hooks are functions of the process that added them.
    torch.optim.Optimizer.__setstate__(optimizer, {"defaults": defaults})
    optimizer._claim = claim
    optimizer._connect(memory, groups)
    _owners.adopt(optimizer, optimizer._params)
    return optimizer
