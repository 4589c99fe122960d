"""What the optimizers share: parameters and moments in shared memory, under one bank of mutexes."""

from __future__ import annotations

import inspect
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.reduction import ForkingPickler
from typing import Any, ClassVar, NoReturn

import torch
from torch import Tensor

from .. import _owners
from .._shared import check_strategy, strategy_of
from ._check import check_grads, check_params
from ._local import Local, match, note_change
from ._memory import Memory, Plan, new_memory
from ._states import load_local_options, pack, shared_tensors, unpack

_ops = torch.ops.atomics


class SharedOptimizer(torch.optim.Optimizer):
    """Base of the optimizers, beside the class of torch.optim whose constructor they have."""

    _SHARED: ClassVar[tuple[str, ...]]  # the options that are shared

    _memory: Memory
    _claim: _owners.Claim
    _plans: list[Plan]
    _strategies: list[str | None]
    _checked_in = 0  # the process in which the gradients were looked at
    _addresses: list[int]  # of the parameters

    # What each optimizer says of itself.

    @staticmethod
    def _moments(group: Mapping[str, Any]) -> dict[str, float]:
        """Return the names of a group's moments, and what they are before the first step."""
        raise NotImplementedError

    @staticmethod
    def _state(steps: int, moments: dict[str, Tensor]) -> dict[str, Any]:
        """Return what torch's state_dict has of a parameter; nothing if it has no state yet."""
        raise NotImplementedError

    def _update(self, plan: Plan, grads: list[Tensor], options: dict[str, Any]) -> None:
        """Step all parameters of ``plan``."""
        raise NotImplementedError

    def _check_sparse(self, options: dict[str, Any]) -> None:
        """Raise if sparse gradients are not taken, before anything is changed."""
        raise RuntimeError(
            f"step: gradients must be dense for {type(self).__name__}, got a sparse one "
            "(SGD and Adagrad take those)"
        )

    def _update_sparse(self, plan: Plan, grad: Tensor, options: dict[str, Any]) -> None:
        """Step the only parameter of ``plan``."""
        raise NotImplementedError

    # Making and sending.

    def __init_subclass__(cls) -> None:
        """Teach multiprocessing, and only it, to pickle the class."""
        super().__init_subclass__()
        ForkingPickler.register(cls, _reduce)
        # For help() and editors: the constructor is that of torch.optim's class.
        behind = cls.__mro__[cls.__mro__.index(SharedOptimizer) + 1]
        if behind is not torch.optim.Optimizer:
            cls.__signature__ = inspect.signature(behind)  # type: ignore[attr-defined]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._share()

    def _share(self) -> None:
        """Put everything into shared memory, after torch's constructor."""
        self._step_supports_amp_scaling = False  # fused or not: GradScaler has to unscale
        groups = self.param_groups
        params = [param for group in groups for param in group["params"]]
        check_params(type(self).__name__, groups, params)
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
        self._plans = memory.plans(groups, self._SHARED, self._moments)
        self._strategies = [strategy_of(tensor) for tensor in self._shared()]
        self._addresses = [param.data_ptr() for param in self._params()]
        self.param_groups = [plan.group for plan in self._plans]
        self.state = defaultdict(dict)
        for plan in self._plans:
            for k, param in enumerate(plan.params):
                moments = {name: of_name[k] for name, of_name in plan.moments.items()}
                self.state[param] = {"step": plan.steps[k], **moments}

    def _params(self) -> list[Tensor]:
        return [param for plan in self._plans for param in plan.params]

    def _shared(self) -> list[Tensor]:
        memory = self._memory
        return [memory.bank, memory.steps, memory.cells, *memory.flat.values(), *self._params()]

    def _check_not_moved(self) -> None:
        if [param.data_ptr() for param in self._params()] != self._addresses:
            raise RuntimeError(
                f"{type(self).__name__}: parameters must stay where they were, got one that was "
                "moved (to(), .data = or vector_to_parameters): others no longer share it"
            )

    def _check_groups(self) -> None:
        same = len(self.param_groups) == len(self._plans) and all(
            group is plan.group and len(group["params"]) == len(plan.params)
            for group, plan in zip(self.param_groups, self._plans, strict=True)
        )
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

    # Training.

    def step(
        self,
        closure: Callable[[], Any] | None = None,
        *,
        grads_from: Local | None = None,
        grads: Sequence[Tensor | None] | None = None,
    ) -> Any:
        """Step the shared parameters by their gradients, or by those of a local model.

        Args:
            closure: evaluates the model again and returns the loss, which is returned.
            grads_from: a model of this process with the same parameters, whose gradients are used.
            grads: the gradients themselves, in the order of the groups, as torch.autograd.grad
                gives them: for threads, which share the parameters' ``grad``.

        Raises:
            RuntimeError: if no parameter has a gradient, which is the sign that model and optimizer
                were sent to this process separately; or if a gradient does not fit.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        own = grads is None and grads_from is None
        if grads is None:
            params = self._params()
            if grads_from is not None:
                params = match("step", "grads_from", grads_from, self._plans)
            grads = [param.grad for param in params]
        elif len(grads) != len(self._params()):
            raise RuntimeError(
                f"step: grads must have one element for each of {len(self._params())} parameters, "
                f"got {len(grads)}"
            )
        if all(grad is None for grad in grads):
            if not own:
                raise RuntimeError("step: at least one gradient must be given, got none")
            raise RuntimeError(
                "step: at least one parameter must have a gradient, got none: backward() was not "
                "called, or model and optimizer came to this process separately and are no longer "
                "linked (send them together: in one tuple, or in the args of one Process)"
            )
        self._check_not_moved()
        self._check_groups()
        if os.getpid() != self._checked_in and own:
            check_grads(type(self).__name__, self._params())
            self._checked_in = os.getpid()
        parts = []
        begin = 0
        for plan in self._plans:
            end = begin + len(plan.params)
            options = plan.group.numbers()
            for part, some in plan.parts(grads[begin:end]):
                if some[0].is_sparse:
                    self._check_sparse(options)
                parts.append((part, some, options))
            begin = end
        if own:  # as torch.optim: backward() of an older forward pass has to raise
            note_change(
                param for param, grad in zip(self._params(), grads, strict=True) if grad is not None
            )
        for part, some, options in parts:
            if some[0].is_sparse:
                self._update_sparse(part, some[0], dict(options))
            else:
                self._update(part, some, dict(options))
        return loss

    def pull(self, local_model: Local) -> None:
        """Copy the shared parameters into a model of this process: all of one moment.

        Args:
            local_model: a model with the same parameters, or its parameters in the order of the
                groups. Buffers are not copied.

        Raises:
            RuntimeError: if its parameters do not match, or are the shared ones.
        """
        self._copy_out("pull", local_model, [])

    def snapshot(self, local_model: Local) -> dict[str, Any]:
        """Pull, and return the state_dict of the same moment: a checkpoint while others train."""
        saved = [torch.empty_like(tensor) for tensor in self._saved()]
        self._copy_out("snapshot", local_model, saved)
        return pack(self._plans, saved, self._state)

    def _saved(self) -> list[Tensor]:
        return shared_tensors(self._memory, self._plans)

    def _copy_out(self, method: str, local_model: Local, saved: list[Tensor]) -> None:
        local = match(method, "local_model", local_model, self._plans)
        sources = [*self._params(), *self._saved()[: len(saved)]]
        self._copy([*local, *saved], sources)
        note_change(local)

    def _copy(self, out: Sequence[Tensor], source: Sequence[Tensor]) -> None:
        self._check_not_moved()
        memory = self._memory
        _ops.guarded_copy_.default([memory.bank], self._params(), memory.first, out, source)

    # Checkpoints.

    def state_dict(self) -> dict[str, Any]:
        """Return what torch.optim's returns, as copies of one moment."""
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        sources = self._saved()
        saved = [torch.empty_like(source) for source in sources]
        self._copy(saved, sources)
        state_dict = pack(self._plans, saved, self._state)
        for post_hook in self._optimizer_state_dict_post_hooks.values():
            changed = post_hook(self, state_dict)
            state_dict = state_dict if changed is None else changed
        return state_dict

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Copy a state_dict, torch.optim's too, into the shared memory, for all processes.

        Raises:
            ValueError: if it is of other groups, shapes or kinds of state. Nothing is changed then.
        """
        state_dict = state_dict.copy()  # for hooks that change it
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            changed = hook(self, state_dict)
            state_dict = state_dict if changed is None else changed
        name = type(self).__name__
        loaded = unpack(name, self._plans, state_dict, self._moments)
        self._copy(self._saved(), loaded)
        load_local_options(self._plans, state_dict)
        for post_hook in self._optimizer_load_state_dict_post_hooks.values():
            post_hook(self)

    # Deaths.

    @property
    def recoveries(self) -> int:
        """How many workers died while they held a stripe, so far."""
        return int(_ops.mutex_recoveries.default(self._memory.bank)[0])

    @property
    def torn_stripes(self) -> int:
        """How many of them left a stripe in which parameter and moments differ by one step."""
        return int(_ops.mutex_recoveries.default(self._memory.bank)[1])


def step_of(steps: int) -> Tensor:
    """Return a number of steps as torch's state_dicts have it."""
    return torch.tensor(float(steps), device="cpu")  # whatever the default device is


def _reduce(optimizer: SharedOptimizer) -> tuple[Any, ...]:
    name = type(optimizer).__name__
    for strategy in optimizer._strategies:  # the reason, if the model was moved a moment ago
        check_strategy(name, strategy)
    optimizer._check_not_moved()
    groups = [{**plan.group, "params": plan.params} for plan in optimizer._plans]
    parts = (optimizer.defaults, groups, optimizer._memory, optimizer._claim)
    return _rebuild, (type(optimizer), *parts)


def _rebuild(
    cls: type[SharedOptimizer],
    defaults: dict[str, Any],
    groups: list[dict[str, Any]],
    memory: Memory,
    claim: _owners.Claim,
) -> SharedOptimizer:
    optimizer = cls.__new__(cls)
    # Hooks are functions of the process that added them.
    torch.optim.Optimizer.__setstate__(optimizer, {"defaults": defaults})
    optimizer._claim = claim
    optimizer._connect(memory, groups)
    _owners.adopt(optimizer, optimizer._params())
    return optimizer
