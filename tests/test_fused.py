"""The fused ops of one worker against torch.optim, step by step."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from op_table import FUSED_DTYPES
from steppers import Stepper, torch_optimizer
from torch import Tensor

atomics = torch.ops.atomics

OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("sgd", {"lr": 0.1}),
    ("sgd", {"lr": 0.1, "weight_decay": 0.25, "maximize": True}),
    ("sgd", {"lr": 0.1, "momentum": 0.9}),
    ("sgd", {"lr": 0.1, "momentum": 0.9, "dampening": 0.4}),
    ("sgd", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("sgd", {"lr": 0.1, "momentum": 0.9, "dampening": 0.4, "weight_decay": 0.25, "maximize": True}),
    ("adagrad", {"lr": 0.1}),
    ("adagrad", {"lr": 0.1, "lr_decay": 0.3, "eps": 0.01}),
    ("adagrad", {"lr": 0.1, "weight_decay": 0.25, "maximize": True}),
    ("adagrad", {"lr": 0.1, "initial_accumulator_value": 0.5}),
    ("adam", {"lr": 0.1}),
    ("adam", {"lr": 0.1, "betas": (0.5, 0.7), "eps": 0.01}),
    ("adam", {"lr": 0.1, "weight_decay": 0.25, "maximize": True}),
    ("adam", {"lr": 0.1, "amsgrad": True, "betas": (0.9, 0.2)}),
    ("adam", {"lr": 0.1, "weight_decay": 0.25, "decoupled_weight_decay": True}),
    ("adam", {"lr": 0.1, "weight_decay": 0.25, "decoupled_weight_decay": True, "amsgrad": True}),
]
each_option = pytest.mark.parametrize(
    ("kind", "options"),
    OPTIONS,
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
STEPS = 5


def random(shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


# In memory with strides, beginning somewhere in its storage; large ones use torch's threads.
LAYOUTS = {
    "one": lambda dtype: random((1,), dtype, 0),
    "0-dim": lambda dtype: random((), dtype, 0),
    "empty": lambda dtype: random((0, 3), dtype, 0),
    "odd": lambda dtype: random((9001,), dtype, 0)[123:],
    "channels last": lambda dtype: random((3, 5, 7, 9), dtype, 0).to(
        memory_format=torch.channels_last
    ),
    "transposed": lambda dtype: random((130, 90), dtype, 0).t(),
    "sliced": lambda dtype: random((40, 900), dtype, 0)[::2, 3::4],
    "large": lambda dtype: random((100, 700), dtype, 0),
}


def gradients(params: list[Tensor], step: int) -> list[Tensor]:
    return [random(tuple(p.shape), p.dtype, 10 * step + k + 1) for k, p in enumerate(params)]


def check(kind: str, options: dict[str, Any], params: list[Tensor], n: int = 3) -> Stepper:
    """Step both sides; a bfloat16 parameter is stepped in float32 and rounded after each step."""
    stepper = Stepper(kind, params, options, atomics.create_mutex(n))
    widened = [p.detach().to(m).clone() for p, m in zip(params, moment_dtypes(params), strict=True)]
    reference = torch_optimizer(kind, widened, options)
    for step in range(STEPS):
        grads = gradients(params, step)
        for each, grad in zip(widened, grads, strict=True):
            each.grad = grad.to(each.dtype)
        reference.step()
        for each, param in zip(widened, params, strict=True):
            each.data.copy_(each.to(param.dtype))
        # As a gradient may come: with strides of its own.
        stepper.step(
            [grads[0].t().contiguous().t() if grads[0].dim() == 2 else grads[0], *grads[1:]]
        )
    for param, expected in zip(params, widened, strict=True):
        close(param, expected.to(param.dtype))
    assert stepper.steps.tolist() == [STEPS] * len(params)
    return stepper


def moment_dtypes(params: list[Tensor]) -> list[torch.dtype]:
    return [torch.float32 if p.dtype == torch.bfloat16 else p.dtype for p in params]


def close(actual: Tensor, expected: Tensor) -> None:
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 2.0**-7}[actual.dtype]
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)
    if actual.dtype == torch.bfloat16 and actual.numel() > 1000:  # the rest was a tie, or nearly
        assert actual.eq(expected).sum() > 0.99 * actual.numel()


@each_option
@pytest.mark.parametrize("dtype", FUSED_DTYPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_steps_are_those_of_torch(layout, dtype, kind, options):
    check(kind, options, [LAYOUTS[layout](dtype)])


@each_option
def test_list_of_parameters_of_several_dtypes_and_layouts_is_stepped(kind, options):
    dtypes = (FUSED_DTYPES * 3)[: len(LAYOUTS)]
    params = [make(dtype) for make, dtype in zip(LAYOUTS.values(), dtypes, strict=True)]
    check(kind, options, params, n=16)


@pytest.mark.parametrize("kind", ["sgd", "adagrad", "adam"])
def test_cells_between_those_of_a_parameter_are_left_alone(kind):
    base = torch.ones(60, 500)
    check(kind, {"lr": 0.1}, [base[1::2, ::5]])
    base[1::2, ::5] = 1
    assert base.eq(1).all()


def test_first_gradient_enters_an_unused_momentum_buffer_undamped():
    options = {"lr": 1, "momentum": 0.5, "dampening": 0.75}
    stepper = Stepper("sgd", [torch.zeros(3)], options, atomics.create_mutex())
    (buffer,) = stepper.moments[0]
    assert buffer.signbit().all()
    stepper.step([torch.tensor([4.0, 0.0, -0.0])])
    assert buffer.tolist() == [4, 0, 0]
    assert not buffer.signbit().any()
    stepper.step([torch.full((3,), 4.0)])
    assert buffer.tolist() == [3, 1, 1]


@pytest.mark.parametrize("dtype", FUSED_DTYPES, ids=str)
@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_momentum_buffer_that_became_zero_is_not_taken_for_an_unused_one(zero, dtype):
    options = {"lr": 1, "momentum": 0.5, "dampening": 0.5}
    stepper = Stepper("sgd", [torch.zeros(2, dtype=dtype)], options, atomics.create_mutex())
    for gradient in (2.0, -2.0):
        stepper.step([torch.full((2,), gradient, dtype=dtype)])
    assert stepper.moments[0][0].eq(0).all()
    stepper.step([torch.full((2,), zero, dtype=dtype)])
    stepper.step([torch.full((2,), 4.0, dtype=dtype)])
    assert stepper.moments[0][0].eq(2).all()


@pytest.mark.parametrize("kind", ["sgd", "adagrad", "adam"])
def test_infinite_parameter_without_weight_decay_gets_no_nan(kind):
    param = torch.full((5000,), math.inf)
    stepper = Stepper(kind, [param], {"lr": 0.1}, atomics.create_mutex())
    stepper.step([torch.ones(5000)])
    assert param.isinf().all()


def test_nan_in_a_gradient_stays_in_amsgrad_s_maximum():
    options = {"lr": 0.1, "amsgrad": True}
    stepper = Stepper("adam", [torch.zeros(2)], options, atomics.create_mutex())
    stepper.step([torch.tensor([math.nan, 1.0])])
    stepper.step([torch.ones(2)])
    assert stepper.moments[2][0].isnan().tolist() == [True, False]


def test_parameters_that_require_gradients_are_stepped_and_their_graph_is_left_alone():
    weight = torch.nn.Parameter(torch.tensor([2.0, 3.0]))
    loss = (weight * 4).sum()
    loss.backward()
    stepper = Stepper("sgd", [weight], {"lr": 0.25}, atomics.create_mutex())
    stepper.step([weight.grad])
    assert weight.tolist() == [1, 2]
    assert weight.requires_grad
