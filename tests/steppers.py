"""The fused ops as optimizers over lists of tensors, beside those of torch.optim."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from op_table import moment_dtype
from torch import Tensor

from caffe2op_atomics import ops

_MOMENTS = {"sgd": 1, "adagrad": 1, "adam": 3}


@dataclass
class Stepper:
    """A fused op with its moments and its count of steps. ``options`` are torch.optim's."""

    kind: str
    params: list[Tensor]
    options: dict[str, Any]
    bank: Tensor
    moments: list[list[Tensor]] = field(init=False)
    steps: Tensor = field(init=False)

    def __post_init__(self) -> None:
        options = dict(self.options)
        betas = options.pop("betas", None)
        if betas:
            options |= dict(zip(("beta1", "beta2"), betas, strict=True))
        start = -0.0 if self.kind == "sgd" else 0.0
        accumulated = options.pop("initial_accumulator_value", start)
        self.keywords = options
        used = _MOMENTS[self.kind]
        if self.kind == "sgd" and not options.get("momentum"):
            used = 0
        if self.kind == "adam" and not options.get("amsgrad"):
            used = 2
        self.moments = [
            [moment_of(p, accumulated) for p in self.params] if k < used else []
            for k in range(_MOMENTS[self.kind])
        ]
        self.steps = torch.zeros(len(self.params), dtype=torch.int64).share_memory_()

    def step(self, grads: list[Tensor]) -> None:
        op = getattr(ops, f"guarded_{self.kind}_")
        first = list(range(len(self.params)))
        op(self.bank, self.params, grads, *self.moments, self.steps, first, **self.keywords)


def moment_of(param: Tensor, value: float) -> Tensor:
    """In shared memory; with strides of its own, not those of the parameter."""
    return torch.full(param.shape, value, dtype=moment_dtype(param.dtype)).share_memory_()


def torch_optimizer(kind: str, params: list[Tensor], options: dict[str, Any]) -> Any:
    options = dict(options)
    if options.pop("decoupled_weight_decay", False):
        return torch.optim.AdamW(params, foreach=False, **options)
    optimizer = {"sgd": torch.optim.SGD, "adagrad": torch.optim.Adagrad, "adam": torch.optim.Adam}
    return optimizer[kind](params, foreach=False, **options)
