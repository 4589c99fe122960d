"""One worker's optimizer does what torch.optim does."""

from __future__ import annotations

import copy

import pytest
import torch
from optimizers import (
    ONE_OF_EACH,
    OPTIONS,
    assert_same,
    give_grads,
    named,
    ours,
    params,
    private,
    torchs,
)
from torch import nn
from torch.optim import optimizer as optimizers_of_torch

from caffe2op_atomics import optim

each = pytest.mark.parametrize("case", ONE_OF_EACH, ids=named)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", OPTIONS, ids=named)
def test_steps_are_those_of_torch(case, dtype):
    kind, options = case
    shared = params(dtype=dtype)
    local = private(shared)
    mine, reference = ours(kind, shared, **options), torchs(kind, local, **options)
    for step in range(12):
        without = [] if step < 4 else [step % 5, (step + 2) % 5]  # their moments stay as they are
        give_grads(shared, local, seed=step, without=without)
        mine.step()
        reference.step()
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    assert_same(shared, local, tolerance, tolerance)
    state = mine.state_dict()["state"]
    for number, entry in reference.state_dict()["state"].items():
        for key, value in entry.items():
            torch.testing.assert_close(state[number][key], value, rtol=tolerance, atol=tolerance)


@each
def test_bfloat16_steps_are_float32_steps_that_are_rounded(case):
    kind, options = case
    shared = params(dtype=torch.bfloat16)
    local = [nn.Parameter(param.detach().float()) for param in shared]
    mine, reference = ours(kind, shared, **options), torchs(kind, local, **options)
    for step in range(10):
        give_grads(shared, seed=step)
        for param, wide in zip(shared, local, strict=True):
            wide.grad = param.grad.float()
        mine.step()
        reference.step()
        for wide in local:
            wide.data = wide.data.bfloat16().float()
    different = total = 0
    for param, wide in zip(shared, local, strict=True):
        different += int((param.float() != wide).sum())
        total += param.numel()
        torch.testing.assert_close(param.float(), wide, rtol=2**-7, atol=2**-7)
    assert different <= total // 100  # a different rounding of float32 may decide
    for entry in mine.state_dict()["state"].values():
        assert all(value.dtype == torch.float32 for value in entry.values())


@pytest.mark.parametrize("kind", ["SGD", "Adagrad", "Adam", "AdamW"])
def test_a_model_trains_as_with_torch(kind):
    """Convolution with channels_last, groups with options of their own, names, zero_grad."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(288, 2)
    )
    model = model.to(memory_format=torch.channels_last)
    twin = copy.deepcopy(model)
    model.share_memory()

    def groups(model: nn.Module) -> list[dict[str, object]]:
        weights = [named for named in model.named_parameters() if named[1].dim() > 1]
        others = [named for named in model.named_parameters() if named[1].dim() == 1]
        return [{"params": weights, "weight_decay": 0.01}, {"params": others, "lr": 0.001}]

    mine, reference = ours(kind, groups(model), lr=0.01), torchs(kind, groups(twin), lr=0.01)
    for step in range(5):
        generator = torch.Generator().manual_seed(step)
        images = torch.randn(4, 3, 8, 8, generator=generator)
        for network, optimizer in ((model, mine), (twin, reference)):
            optimizer.zero_grad(set_to_none=step % 2 == 0)
            nn.functional.cross_entropy(network(images), torch.tensor([0, 1, 0, 1])).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 0.5)
            optimizer.step()
    assert_same(list(model.parameters()), list(twin.parameters()), 1e-4, 1e-5)
    assert model[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert [group["param_names"] for group in mine.param_groups] == [
        group["param_names"] for group in reference.param_groups
    ]


@each
def test_gradients_may_have_other_strides_than_parameters(case):
    kind, options = case
    shared = params([(4, 6), (8, 3, 2, 2)])
    local = private(shared)
    mine, reference = ours(kind, shared, **options), torchs(kind, local, **options)
    for one in (shared, local):
        one[0].grad = torch.arange(6.0).expand(4, 6)
        one[1].grad = torch.arange(96.0).view(2, 2, 8, 3).permute(2, 3, 0, 1)
    mine.step()
    reference.step()
    assert_same(shared, local)


@each
def test_a_parameter_may_be_any_view(case):
    kind, options = case
    memory = torch.randn(9, 10, generator=torch.Generator().manual_seed(1)).share_memory_()
    shared = [nn.Parameter(memory[:4, 1:7].t()), nn.Parameter(memory[5:])]
    before, local = memory.clone(), private(shared)
    mine, reference = ours(kind, shared, **options), torchs(kind, local, **options)
    for step in range(3):
        give_grads(shared, local, seed=step)
        mine.step()
        reference.step()
    assert_same(shared, local)
    assert memory[:5, 7:].equal(before[:5, 7:])
    assert memory[4].equal(before[4])


@each
def test_parameters_without_elements_are_taken(case):
    kind, options = case
    shared, others = params([(0,), (2, 0)]), params([(0,)])
    mine, other = ours(kind, shared, **options), ours(kind, others, **options)
    for optimizer, one in ((mine, shared), (other, others)):
        give_grads(one, seed=0)
        optimizer.step()


def test_closure_is_called_once_with_gradients_on_and_its_value_returned():
    (param,) = params([(2,)])
    mine = optim.SGD([param], lr=1)
    before = param.detach().clone()

    def closure() -> torch.Tensor:
        mine.zero_grad()
        loss = (3 * param).sum()
        loss.backward()
        return loss

    with torch.no_grad():
        loss = mine.step(closure)
    assert loss.item() == pytest.approx(3 * before.sum().item())
    assert_same([param], [before - 3])


@each
def test_step_without_any_gradient_says_why(case):
    kind, options = case
    shared = params()
    mine = ours(kind, shared, **options)
    with pytest.raises(RuntimeError, match=r"^step: at least one parameter must have a gradient"):
        mine.step()
    assert all(torch.equal(a, b) for a, b in zip(shared, params(), strict=True))


def test_backward_of_a_forward_pass_before_a_step_or_a_pull_raises():
    """As with torch.optim: its gradients would be those of other weights."""
    model, local = nn.Linear(2, 2).share_memory(), nn.Linear(2, 2)
    mine = optim.SGD(model.parameters())
    inputs = torch.ones(1, 2, requires_grad=True)
    model(inputs).sum().backward()
    for network, change in ((model, mine.step), (local, lambda: mine.pull(local))):
        loss = network(inputs).sum()
        change()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


@pytest.mark.parametrize("fused", [False, True])
def test_grad_scaler_unscales_before_the_step(fused):
    (param,) = params([(4,)])
    before = param.detach().clone()
    mine = optim.SGD([param], lr=1, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaler.scale((2 * param).sum()).backward()
    scaler.step(mine)
    scaler.update()
    assert_same([param], [before - 2])
    scaler.scale((float("inf") * param).sum()).backward()
    scaler.step(mine)  # skipped
    assert_same([param], [before - 2])


def with_gradient():
    (param,) = params([(4,)])
    param.grad = torch.ones(4)
    return param, optim.Adam([param])


def test_hooks_of_a_step_are_called_once_as_with_torch():
    _, mine = with_gradient()
    calls = []
    mine.register_step_pre_hook(lambda *_: calls.append("before"))
    mine.step()
    mine.register_step_post_hook(lambda *_: calls.append("after"))
    mine.step()
    assert calls == ["before", "before", "after"]


def test_hooks_of_a_subclass_with_a_step_of_its_own_are_called_once():
    class Clipped(optim.Adam):
        def step(self, closure=None):
            self.param_groups[0]["params"][0].grad.clamp_(-1, 1)
            return super().step(closure)

    param, calls = params([(4,)])[0], []
    mine = Clipped([param])
    param.grad = torch.full((4,), 3.0)
    mine.register_step_pre_hook(lambda *_: calls.append("before"))
    mine.step()
    assert calls == ["before"]
    assert param.grad.eq(1).all()


@pytest.mark.parametrize("when", ["pre", "post"])
def test_hooks_of_all_optimizers_are_called(when):
    _, mine = with_gradient()
    calls = []
    register = getattr(optimizers_of_torch, f"register_optimizer_step_{when}_hook")
    handle = register(lambda each, *_: calls.append(each))
    try:
        mine.step()
    finally:
        handle.remove()
    mine.step()
    assert calls == [mine]


def test_a_profile_has_the_names_that_it_has_with_torch():
    _, mine = with_gradient()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        mine.step()
        mine.zero_grad()
    names = {event.name for event in profile.events()}
    assert {"Optimizer.step#Adam.step", "Optimizer.zero_grad#Adam.zero_grad"} <= names


def test_zero_grad_drops_gradients_or_zeroes_them():
    param, mine = with_gradient()
    grad = param.grad
    mine.zero_grad(set_to_none=False)
    assert param.grad is grad
    assert not grad.any()
    mine.zero_grad()
    assert param.grad is None


def test_a_parameter_that_came_back_to_its_address_is_not_stepped_alone():
    """The address of freed memory is given out again: to memory that nobody else sees."""
    model = nn.Linear(10, 10).share_memory()
    mine = optim.SGD(model.parameters())
    model.double()
    model.float()
    model.share_memory()
    with pytest.raises(RuntimeError, match="parameters must stay where they were"):
        mine.step(grads=[torch.ones(10, 10), torch.ones(10)])
    optim.SGD(model.parameters())  # and is not taken for what `mine` owns


def test_a_moved_parameter_is_not_stepped_alone():
    """vector_to_parameters() and .data = give it private memory, which nobody else would see."""
    shared = params([(4,), (2, 2)])
    mine = optim.SGD(shared, lr=1)
    nn.utils.vector_to_parameters(torch.zeros(8), shared)
    give_grads(shared, seed=0)
    for call in (mine.step, mine.state_dict, lambda: mine.pull(private(shared))):
        with pytest.raises(RuntimeError, match="parameters must stay where they were"):
            call()
    assert not torch.cat([param.detach().flatten() for param in shared]).any()
