"""Stochastic gradient descent over shared parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ._memory import Plan
from ._shared_optimizer import SharedOptimizer

_ops = torch.ops.atomics
_ONE = torch.ones((), dtype=torch.int64, device="cpu")


class SGD(SharedOptimizer, torch.optim.SGD):
    """``torch.optim.SGD`` over shared parameters: see :mod:`caffe2op_atomics.optim`.

    The arguments are those of the installed torch; ``foreach`` and ``fused`` change nothing. Takes
    sparse gradients without momentum and weight decay. Momentum cannot be switched on or off later:
    OneCycleLR and CyclicLR want one from the start, or ``cycle_momentum=False``. Without it, it
    takes parameters on a GPU, too (docs/cuda.md).

    Example:
        >>> model = torch.nn.Linear(2, 1).share_memory()
        >>> optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
        >>> model(torch.ones(2)).sum().backward()
        >>> optimizer.step()
    """

    _TAKES_GPU = True
    _SHARED = ("lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize")

    @staticmethod
    def _moments(group: Mapping[str, Any]) -> dict[str, float]:
        # -0.0: never used, see guarded_sgd_.
        return {"momentum_buffer": -0.0} if group["momentum"] != 0 else {}

    @staticmethod
    def _state(steps: int, moments: dict[str, Tensor]) -> dict[str, Any]:
        return moments if steps > 0 else {}

    def _update(self, plan: Plan, grads: list[Tensor], options: dict[str, Any]) -> None:
        if plan.lock_free:
            self._update_lock_free(plan, grads, options)
            return
        buffers = plan.moments.get("momentum_buffer", [])
        _ops.guarded_sgd_.default(
            plan.bank, plan.params, grads, buffers, plan.steps, plan.first, **options
        )

    def _check_sparse(self, options: dict[str, Any]) -> None:
        if options["momentum"] != 0 or options["weight_decay"] != 0:
            raise RuntimeError(
                "step: gradients must be dense for SGD with momentum or weight decay, "
                "got a sparse one"
            )

    def _update_sparse(self, plan: Plan, grad: Tensor, options: dict[str, Any]) -> None:
        index, values = rows_of(grad)
        alpha = options["lr"] if options["maximize"] else -options["lr"]
        param = plan.params[0]
        if plan.lock_free:
            _ops.index_add_.default(param, 0, index, values, alpha)
        else:
            _ops.guarded_index_add_.default(
                plan.bank, param, 0, index, values, alpha, plan.first[0]
            )
        _ops.add_.int(plan.steps, 1)

    @torch.no_grad()
    def _update_lock_free(self, plan: Plan, grads: list[Tensor], options: dict[str, Any]) -> None:
        sign = 1 if options["maximize"] else -1
        for param, grad in zip(plan.params, grads, strict=True):
            if options["weight_decay"] != 0:  # a plain read: it may be an update older
                grad = grad.add(param, alpha=-sign * options["weight_decay"])
            _ops.add_.default(param, grad, sign * options["lr"])
        _ops.add_.default(plan.steps, _ONE)


def rows_of(grad: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows that a sparse gradient names, and what it has for each of them."""
    return grad._indices()[0], grad._values()
