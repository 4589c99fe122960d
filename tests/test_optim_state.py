"""state_dict: torch.optim's format, in both directions, and back in place."""

from __future__ import annotations

import copy
import io
import re

import pytest
import torch
from optimizers import (
    ONE_OF_EACH,
    assert_same,
    give_grads,
    named,
    ours,
    params,
    private,
    torchs,
)
from torch import nn

from caffe2op_atomics import optim

each = pytest.mark.parametrize("case", ONE_OF_EACH, ids=named)


def assert_equal_states(actual: dict, expected: dict) -> None:
    assert actual["state"].keys() == expected["state"].keys()
    for number, entry in expected["state"].items():
        assert actual["state"][number].keys() == entry.keys()
        for key, value in entry.items():
            torch.testing.assert_close(actual["state"][number][key], value, rtol=1e-5, atol=1e-6)
    assert actual["param_groups"] == expected["param_groups"]


@pytest.mark.parametrize("steps", [0, 3])
@each
def test_state_dicts_are_torchs_in_both_directions(case, steps):
    kind, options = case
    shared = params()
    local = private(shared)
    mine, theirs = ours(kind, shared, **options), torchs(kind, local, **options)
    for step in range(steps):
        give_grads(shared, local, seed=step, without=[1])
        mine.step()
        theirs.step()
    assert_equal_states(mine.state_dict(), theirs.state_dict())

    onward, back = params(), private(shared)  # theirs goes on here, mine there
    for param, value in zip(onward, local, strict=True):
        param.data.copy_(value.data)
    mine_of_theirs, theirs_of_mine = ours(kind, onward, lr=7), torchs(kind, back, lr=7)
    if options.keys() - {"lr"}:
        mine_of_theirs = None
        mine_of_theirs = ours(kind, onward, **(options | {"lr": 7}))
    mine_of_theirs.load_state_dict(theirs.state_dict())
    theirs_of_mine.load_state_dict(mine.state_dict())
    for step in range(3, 6):
        give_grads(shared, local, onward, back, seed=step)
        for one in (mine, theirs, mine_of_theirs, theirs_of_mine):
            one.step()
    assert_same(onward, local)
    assert_same(back, shared)
    assert_equal_states(mine_of_theirs.state_dict(), theirs.state_dict())


@each
def test_a_state_dict_is_a_copy_that_survives_saving(case):
    kind, options = case
    shared = params()
    mine = ours(kind, shared, **options)
    give_grads(shared, seed=0)
    mine.step()
    saved = mine.state_dict()
    before, file = copy.deepcopy(saved), io.BytesIO()
    torch.save(saved, file)
    give_grads(shared, seed=1)
    mine.step()
    mine.param_groups[0]["lr"] = 9
    assert_equal_states(saved, before)
    file.seek(0)
    mine.load_state_dict(torch.load(file, weights_only=True))
    assert_equal_states(mine.state_dict(), before)
    mine.load_state_dict(copy.deepcopy(before))
    assert_equal_states(mine.state_dict(), before)


def addresses(optimizer) -> list[int]:
    return [tensor.data_ptr() for entry in optimizer.state.values() for tensor in entry.values()]


@each
def test_load_state_dict_writes_where_others_read(case):
    kind, options = case
    shared, twin = params(), params()
    mine, other = ours(kind, shared, **options), ours(kind, twin, **options)
    give_grads(twin, seed=0)
    other.step()
    other.param_groups[0]["lr"] = 0.75
    before, cells = addresses(mine), mine._memory.cells
    mine.load_state_dict(other.state_dict())
    assert addresses(mine) == before
    assert all(tensor.is_shared() for entry in mine.state.values() for tensor in entry.values())
    assert cells[0] == 0.75
    assert_equal_states(mine.state_dict(), other.state_dict())


def of(kind: str, shapes=((2, 3), (3,)), groups: int = 1, **options) -> dict:
    """The state_dict of torch's optimizer after a step."""
    local = private(params(shapes))
    give_grads(local, seed=0)
    parts = [{"params": local}] if groups == 1 else [{"params": [one]} for one in local]
    optimizer = torchs(kind, parts, **options)
    optimizer.step()
    return optimizer.state_dict()


@pytest.mark.parametrize(
    ("kind", "loaded", "message"),
    [
        (
            "Adam",
            of("Adam", groups=2),
            "state_dict must have the groups of this Adam, with [2] parameters, got [1, 1]",
        ),
        (
            "Adam",
            of("Adam", amsgrad=True),
            "amsgrad must be False as in this Adam, got True",
        ),
        (
            "Adam",
            of("AdamW"),
            "decoupled_weight_decay must be False as in this Adam, got True",
        ),
        (
            "AdamW",
            of("AdamW", [(2, 3), (4,)]),
            "exp_avg must have shape [3] as in this AdamW, got [4]",
        ),
        (
            "Adagrad",
            of("Adam"),
            "state must have ['sum'] as in this Adagrad, got ['exp_avg', 'exp_avg_sq']",
        ),
        (
            "SGD",
            of("SGD", momentum=0.5),
            "options must ask for the state of this SGD, [], got some that ask for "
            "['momentum_buffer']",
        ),
        (
            "SGD",
            of("Adagrad"),
            "state must have [] as in this SGD, got ['sum']",
        ),
    ],
)
def test_a_refused_load_changes_nothing(kind, loaded, message):
    shared = params([(2, 3), (3,)])
    mine = ours(kind, shared)
    give_grads(shared, seed=1)
    mine.step()
    before = mine.state_dict()
    loaded["param_groups"][0]["lr"] = 5
    with pytest.raises(ValueError, match=f"^{re.escape('load_state_dict: ' + message)}$"):
        mine.load_state_dict(loaded)
    assert_equal_states(mine.state_dict(), before)


def test_a_load_with_numbers_that_do_not_fit_changes_nothing():
    mine = optim.Adam(params())
    before, loaded = mine.state_dict(), mine.state_dict()
    loaded["param_groups"][0] |= {"lr": 3, "betas": (0.1, 0.2, 0.3)}
    with pytest.raises(ValueError, match="betas must be 2 numbers"):
        mine.load_state_dict(loaded)
    assert_equal_states(mine.state_dict(), before)


def test_loaded_names_do_not_replace_those_of_the_constructor():
    model = nn.Linear(2, 1)
    model.share_memory()
    mine = optim.SGD(model.named_parameters())
    loaded = mine.state_dict()
    loaded["param_groups"][0]["param_names"] = ["module.weight", "module.bias"]
    loaded["param_groups"][0]["initial_lr"] = 0.5
    mine.load_state_dict(loaded)
    assert mine.param_groups[0]["param_names"] == ["weight", "bias"]
    assert mine.param_groups[0]["initial_lr"] == 0.5
    mine.pull(nn.Linear(2, 1))


def test_hooks_of_state_dicts_run_as_with_torch():
    mine, calls = optim.SGD(params()), []
    mine.register_state_dict_pre_hook(lambda _: calls.append("save"))
    mine.register_state_dict_post_hook(lambda _, state: {**state, "more": 1})
    mine.register_load_state_dict_pre_hook(lambda _, state: state.pop("more") and None)
    mine.register_load_state_dict_post_hook(lambda _: calls.append("loaded"))
    saved = mine.state_dict()
    assert saved["more"] == 1
    mine.load_state_dict(saved)
    assert saved["more"] == 1  # as torch's, hooks get a copy of the outer dict
    assert calls == ["save", "loaded"]


def test_steps_of_a_long_training_survive_a_state_dict():
    (param,) = params([(1,)])
    mine = optim.Adam([param])
    mine._memory.steps.fill_(10**6)
    param.grad = torch.ones(1)
    mine.step()
    assert mine.state_dict()["state"][0]["step"] == 10**6 + 1


def test_other_default_device_and_dtype_do_no_harm():
    shared = params()
    torch.set_default_device("meta")
    try:
        mine = optim.Adam(shared)
        give_cpu = [torch.ones(param.shape, device="cpu") for param in shared]
        for param, grad in zip(shared, give_cpu, strict=True):
            param.grad = grad
        mine.step()
        mine.load_state_dict(mine.state_dict())
    finally:
        torch.set_default_device(None)
    assert mine.state_dict()["state"][0]["step"] == 1
