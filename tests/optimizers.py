"""Optimizers of ours and of torch over parameters that start equal."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from caffe2op_atomics import optim

SHAPES = [(3, 5), (), (40, 130), (7,), (1, 1, 2)]  # one of them over two stripes

OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"momentum": 0.5, "dampening": 0.1, "weight_decay": 0.1, "maximize": True}),
    ("SGD", {"foreach": True}),
    ("SGD", {"fused": True}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1}),
    ("Adagrad", {"weight_decay": 0.1, "initial_accumulator_value": 0.5}),
    ("Adagrad", {"eps": 1e-3, "maximize": True}),
    ("Adagrad", {"fused": True}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3}),
    ("Adam", {"weight_decay": 0.1, "maximize": True}),
    ("Adam", {"amsgrad": True, "betas": (0.5, 0.5)}),
    ("Adam", {"decoupled_weight_decay": True, "weight_decay": 0.1}),
    ("Adam", {"amsgrad": True, "maximize": True, "weight_decay": 0.1, "foreach": True}),
    ("Adam", {"fused": True}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.5}),
    ("AdamW", {"amsgrad": True, "betas": (0.5, 0.5), "maximize": True}),
]
ONE_OF_EACH = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("Adagrad", {"lr": 0.1}),
    ("Adam", {"lr": 0.1}),
    ("Adam", {"lr": 0.1, "amsgrad": True}),
    ("AdamW", {"lr": 0.1}),
]


def named(case: tuple[str, dict[str, Any]] | Any) -> str:
    """An id for pytest."""
    kind, options = case
    return "-".join([kind, *(f"{key}={value}" for key, value in options.items())])


def ours(kind: str, params: Any, **options: Any) -> Any:
    return getattr(optim, kind)(params, **options)


def torchs(kind: str, params: Any, **options: Any) -> torch.optim.Optimizer:
    return getattr(torch.optim, kind)(params, **options)


def params(
    shapes: Sequence[Sequence[int]] = SHAPES, dtype: torch.dtype = torch.float32, seed: int = 0
) -> list[nn.Parameter]:
    """Random parameters in shared memory."""
    generator = torch.Generator().manual_seed(seed)
    made = [torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes]
    return [nn.Parameter(tensor.share_memory_()) for tensor in made]


def private(shared: Sequence[Tensor]) -> list[nn.Parameter]:
    """Parameters of the same values in memory of their own."""
    return [nn.Parameter(copy.deepcopy(param.detach())) for param in shared]


def give_grads(
    *lists: Sequence[Tensor], seed: int, without: Sequence[int] = (), scale: float = 1
) -> None:
    """Give the parameters in every list the same random gradients, but some none."""
    generator = torch.Generator().manual_seed(seed)
    for place in range(len(lists[0])):
        grad = scale * torch.randn(
            lists[0][place].shape, generator=generator, dtype=lists[0][place].dtype
        )
        for each in lists:
            each[place].grad = None if place in without else grad.clone()


def assert_same(
    actual: Sequence[Tensor], expected: Sequence[Tensor], rtol: float = 1e-5, atol: float = 1e-6
) -> None:
    torch.testing.assert_close(
        [each.detach() for each in actual],
        [each.detach() for each in expected],
        rtol=rtol,
        atol=atol,
    )
