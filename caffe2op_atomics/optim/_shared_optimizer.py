"""What an optimizer does: steps, copies of one moment, checkpoints."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .._refusals import check_not_recorded
from ._gradients import Gradients, check_fit, check_private, check_rows, gradients
from ._hooks import is_profiling, with_hooks
from ._local import Local, match, note_change
from ._memory import Plan
from ._shared_state import SharedState
from ._states import load_local_options, pack, shared_tensors, unpack

_ops = torch.ops.atomics


class SharedOptimizer(SharedState):
    """Base of the optimizers, beside the class of torch.optim whose constructor they have."""

    _checked_in = 0  # the process in which the gradients were looked at

    # What each optimizer says of itself.

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

    # Training.

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Do what torch.optim's does: drop the gradients of this process, or write zeros."""
        if is_profiling() or not set_to_none:
            super().zero_grad(set_to_none)
            return
        for param in self._params:
            param.grad = None

    @with_hooks
    def step(
        self,
        closure: Callable[[], Any] | None = None,
        *,
        grads_from: Local | None = None,
        grads: Gradients | None = None,
    ) -> Any:
        """Step the shared parameters by their gradients, or by those of a local model.

        Args:
            closure: evaluates the model again and returns the loss, which is returned.
            grads_from: a model of this process with the same parameters, whose gradients are used.
            grads: the gradients themselves, in the order of the groups, as torch.autograd.grad
                gives them: for threads, which share the parameters' ``grad``.

        Raises:
            RuntimeError: if no parameter has a gradient, which is the sign that model and optimizer
                were sent to this process separately; or if a gradient does not fit. Nothing is
                changed then.
            TypeError: if both ``grads_from`` and ``grads`` are given.
        """
        check_not_recorded(f"{type(self).__name__}.step")
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        own = grads is None and grads_from is None
        grads = gradients(self._plans, self._params, grads_from, grads)
        self._check_not_moved()
        self._check_groups()
        if os.getpid() != self._checked_in and own:
            check_private(type(self).__name__, self._params)
            self._checked_in = os.getpid()
        parts = []
        begin = 0
        for plan in self._plans:
            end = begin + len(plan.params)
            options = plan.group.numbers()
            for part, some in plan.parts(grads[begin:end]):
                if some[0].is_sparse:
                    self._check_sparse(options)
                    check_rows(some[0])
                parts.append((part, some, options))
            begin = end
        if len(parts) > 1 or not own:  # a single op refuses all or nothing
            check_fit(self._params, grads, self._shared())
        if own:  # as torch.optim: backward() of an older forward pass has to raise
            pairs = zip(self._params, grads, strict=True)
            note_change([param for param, grad in pairs if grad is not None])
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
        sources = [*self._params, *self._saved()[: len(saved)]]
        self._copy([*local, *saved], sources)
        note_change(local)

    def _copy(self, out: Sequence[Tensor], source: Sequence[Tensor]) -> None:
        self._check_not_moved()
        memory = self._memory
        if any(plan.lock_free for plan in self._plans):
            with torch.no_grad():
                for to, each in zip(out, source, strict=True):
                    to.copy_(each)
            return
        _ops.guarded_copy_.default([memory.bank], self._params, memory.first, out, source)

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
