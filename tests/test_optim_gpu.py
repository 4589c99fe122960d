"""optim.SGD by lock-free additions, as on a GPU; its code, without one, over shared memory."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from support import run_threads
from torch import Tensor, nn

from caffe2op_atomics import optim

Make = Callable[..., tuple[nn.Module, optim.SGD]]


@pytest.fixture
def make(device: str) -> Make:
    """Makes a model and its optimizer."""

    def made(width: int = 4, **options: Any) -> tuple[nn.Module, optim.SGD]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, width), nn.Linear(width, 2))
        model.share_memory()
        optimizer = optim.SGD(model.parameters(), **options)
        for plan in optimizer._plans:
            assert plan.lock_free == (device == "cuda")
            plan.lock_free = True
        return model, optimizer

    return made


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.1}, {"maximize": True}])
@pytest.mark.parametrize("both", [False, True])
def test_step_is_that_of_torch(make, options, both):
    options = {"lr": 0.25, **options, **({"weight_decay": 0.5} if both else {})}
    model, optimizer = make(**options)
    plain = copy.deepcopy(model)
    theirs = torch.optim.SGD(plain.parameters(), **options)
    for _ in range(3):
        for each, stepper in ((model, optimizer), (plain, theirs)):
            stepper.zero_grad()
            each(torch.ones(5, 3)).square().sum().backward()
            stepper.step()
    for ours, other in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, other)
    assert [int(step) for plan in optimizer._plans for step in plan.steps] == [3] * 4


def test_sparse_gradients_change_their_rows(device):
    table = nn.Embedding(5, 3, sparse=True).share_memory()
    optimizer = optim.SGD(table.parameters(), lr=1)
    optimizer._plans[0].lock_free = True
    before = table.weight.detach().clone()
    table(torch.tensor([1, 3, 1])).sum().backward()
    optimizer.step()
    change = (table.weight.detach() - before).round().tolist()
    assert change == [[0] * 3, [-2] * 3, [0] * 3, [-1] * 3, [0] * 3]


def test_local_model_is_pulled_and_its_gradients_are_applied(make):
    model, optimizer = make(lr=0.5)
    local = copy.deepcopy(model)
    for param in model.parameters():
        param.data.fill_(1)
    optimizer.pull(local)
    assert all(param.eq(1).all() for param in local.parameters())
    local(torch.ones(1, 3)).sum().backward()
    optimizer.step(grads_from=local)
    assert not model[1].bias.eq(1).any()
    saved = optimizer.snapshot(local)
    assert local[1].bias.equal(model[1].bias)
    optimizer.load_state_dict(saved)
    optimizer.load_state_dict(optimizer.state_dict())


def step_often(_: int, optimizer: optim.SGD, grads: list[Tensor]) -> None:
    for _call in range(200):
        optimizer.step(grads=grads)


def test_threads_lose_nothing(make):
    model, optimizer = make(lr=1, width=20_000)  # so that threads meet in each step
    for param in model.parameters():
        param.data.zero_()
    run_threads(3, step_often, optimizer, [torch.ones_like(p) for p in model.parameters()])
    assert all(param.eq(-600).all() for param in model.parameters())
    assert optimizer._plans[0].steps.eq(600).all()


def test_what_has_moments_is_refused_on_a_gpu(device):
    if device == "cpu":
        pytest.skip("of parameters on a GPU")
    params = [torch.zeros(3, requires_grad=True)]
    for build in (
        lambda: optim.Adam(params),
        lambda: optim.Adagrad(params),
        lambda: optim.SGD(params, lr=1, momentum=0.9),
    ):
        with pytest.raises(
            RuntimeError, match=r"parameter 0 must be on cpu, got cuda:0 \(SGD with"
        ):
            build()
