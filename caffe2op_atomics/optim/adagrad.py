"""Adagrad over shared parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ._memory import Plan
from ._shared_optimizer import SharedOptimizer, step_of
from .sgd import rows_of

_ops = torch.ops.atomics


class Adagrad(SharedOptimizer, torch.optim.Adagrad):
    """``torch.optim.Adagrad`` over shared parameters: see :mod:`caffe2op_atomics.optim`.

    The arguments are those of the installed torch; ``foreach`` and ``fused`` change nothing. Takes
    sparse gradients without weight decay, and touches only the rows that they name.

    Example:
        >>> embedding = torch.nn.Embedding(10, 2, sparse=True).share_memory()
        >>> optimizer = Adagrad(embedding.parameters(), lr=0.1)
        >>> embedding(torch.tensor([3, 3, 7])).sum().backward()
        >>> optimizer.step()
    """

    _SHARED = ("lr", "lr_decay", "eps", "weight_decay", "maximize")

    @staticmethod
    def _moments(group: Mapping[str, Any]) -> dict[str, float]:
        return {"sum": group["initial_accumulator_value"]}

    @staticmethod
    def _state(steps: int, moments: dict[str, Tensor]) -> dict[str, Any]:
        return {"step": step_of(steps), **moments}

    def _update(self, plan: Plan, grads: list[Tensor], options: dict[str, Any]) -> None:
        _ops.guarded_adagrad_.default(
            plan.bank, plan.params, grads, plan.moments["sum"], plan.steps, plan.first, **options
        )

    def _check_sparse(self, options: dict[str, Any]) -> None:
        if options["weight_decay"] != 0:
            raise RuntimeError(
                "step: gradients must be dense for Adagrad with weight decay, got a sparse one"
            )

    def _update_sparse(self, plan: Plan, grad: Tensor, options: dict[str, Any]) -> None:
        del options["weight_decay"]
        index, values = rows_of(grad.coalesce())  # its squares are those of a row's whole gradient
        (param,), (state_sum,), (first,) = plan.params, plan.moments["sum"], plan.first
        _ops.guarded_index_adagrad_.default(
            plan.bank, param, 0, index, values, state_sum, plan.steps, first, **options
        )
