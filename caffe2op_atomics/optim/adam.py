"""Adam and AdamW over shared parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ._memory import Plan
from ._shared_optimizer import SharedOptimizer, step_of

_ops = torch.ops.atomics


class _AdamSteps(SharedOptimizer):
    _SHARED = ("lr", "betas", "eps", "weight_decay", "maximize")

    @staticmethod
    def _moments(group: Mapping[str, Any]) -> dict[str, float]:
        names = ["exp_avg", "exp_avg_sq"]
        if group["amsgrad"]:
            names.append("max_exp_avg_sq")
        return dict.fromkeys(names, 0.0)

    @staticmethod
    def _state(steps: int, moments: dict[str, Tensor]) -> dict[str, Any]:
        return {"step": step_of(steps), **moments} if steps > 0 else {}

    def _update(self, plan: Plan, grads: list[Tensor], options: dict[str, Any]) -> None:
        beta1, beta2 = options.pop("betas")
        _ops.guarded_adam_.default(
            plan.bank,
            plan.params,
            grads,
            plan.moments["exp_avg"],
            plan.moments["exp_avg_sq"],
            plan.moments.get("max_exp_avg_sq", []),
            plan.steps,
            plan.first,
            beta1=beta1,
            beta2=beta2,
            decoupled_weight_decay=plan.group["decoupled_weight_decay"],
            amsgrad=plan.group["amsgrad"],
            **options,
        )


class Adam(_AdamSteps, torch.optim.Adam):
    """``torch.optim.Adam`` over shared parameters: see :mod:`caffe2op_atomics.optim`.

    The arguments are those of the installed torch; ``foreach`` and ``fused`` change nothing.

    Example:
        >>> model = torch.nn.Linear(2, 1).share_memory()
        >>> optimizer = Adam(model.parameters(), lr=0.01)
        >>> model(torch.ones(2)).sum().backward()
        >>> optimizer.step()
    """


class AdamW(_AdamSteps, torch.optim.AdamW):
    """``torch.optim.AdamW`` over shared parameters: see :mod:`caffe2op_atomics.optim`.

    The arguments are those of the installed torch; ``foreach`` and ``fused`` change nothing.

    Example:
        >>> model = torch.nn.Linear(2, 1).share_memory()
        >>> optimizer = AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
        >>> model(torch.ones(2)).sum().backward()
        >>> optimizer.step()
    """
