"""param_groups over shared memory behave like torch's, also for those who write them."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import re
import weakref

import pytest
import torch
from optimizers import ONE_OF_EACH, assert_same, give_grads, named, ours, params, private, torchs
from torch.optim import lr_scheduler
from torch.optim.swa_utils import SWALR, AveragedModel

from caffe2op_atomics import optim

SCHEDULERS = {
    "StepLR": lambda it: lr_scheduler.StepLR(it, 2, gamma=0.5),
    "LambdaLR": lambda it: lr_scheduler.LambdaLR(it, [lambda e: 0.9**e, lambda e: 1 / (e + 1)]),
    "OneCycleLR": lambda it: lr_scheduler.OneCycleLR(it, [0.3, 0.1], total_steps=10),
    "CosineAnnealing": lambda it: lr_scheduler.CosineAnnealingLR(it, 6, eta_min=0.01),
    "CyclicLR": lambda it: lr_scheduler.CyclicLR(it, 0.01, 0.1, step_size_up=3),
    "SWALR": lambda it: SWALR(it, swa_lr=0.05, anneal_epochs=5),
    "SequentialLR": lambda it: lr_scheduler.SequentialLR(
        it, [lr_scheduler.ConstantLR(it, 0.1, 3), lr_scheduler.ExponentialLR(it, 0.9)], [3]
    ),
}


@pytest.mark.parametrize("make", SCHEDULERS.values(), ids=SCHEDULERS)
@pytest.mark.parametrize("case", ONE_OF_EACH, ids=named)
def test_schedulers_schedule_as_with_torch(case, make):
    kind, options = case
    shared = params([(3,), (2, 2), (5,)])
    local = private(shared)
    mine = ours(kind, [{"params": shared[:2]}, {"params": shared[2:], "lr": 0.2}], **options)
    theirs = torchs(kind, [{"params": local[:2]}, {"params": local[2:], "lr": 0.2}], **options)
    try:
        reference = make(theirs)
    except ValueError as error:  # no momentum to cycle
        with pytest.raises(ValueError, match=re.escape(str(error))):
            make(mine)
        return
    if options.get("momentum") is None and theirs.param_groups[0].get("momentum"):
        with pytest.raises(ValueError, match="momentum must be given to the constructor"):
            make(mine)
        return
    schedule = make(mine)
    for step in range(9):
        give_grads(shared, local, seed=step)
        for one in (mine, theirs, schedule, reference):
            one.step()
        assert schedule.get_last_lr() == reference.get_last_lr()
        for key in {"lr", "betas", "momentum"} & theirs.param_groups[0].keys():
            assert [g[key] for g in mine.param_groups] == [g[key] for g in theirs.param_groups]
    assert_same(shared, local)
    assert schedule.state_dict().keys() == reference.state_dict().keys()


def test_plateau_lowers_the_rate():
    mine = optim.SGD(params([(1,)]), lr=1.0)
    scheduler = lr_scheduler.ReduceLROnPlateau(mine, factor=0.5, patience=0)
    for loss in (1.0, 1.0, 1.0):
        scheduler.step(loss)
    assert mine.param_groups[0]["lr"] == 0.25


def test_averaged_model_averages_a_shared_one():
    model = torch.nn.Linear(2, 1, bias=False).share_memory()
    mine = optim.SGD(model.parameters(), lr=1)
    average, before = AveragedModel(model), model.weight.detach().clone()
    for _ in range(2):
        model.weight.grad = torch.ones(1, 2)
        mine.step()
        average.update_parameters(model)
    assert_same([average.module.weight], [before - 1.5])
    assert not average.module.weight.is_shared()


def group() -> dict:
    return optim.Adam(params([(2,)]), lr=0.5, betas=(0.25, 0.5)).param_groups[0]


def test_every_way_to_write_a_group_writes_the_shared_number():
    one = group()
    seen = one.__class__(dict(one), ("lr", "betas", "eps", "weight_decay", "maximize"), one._cells)
    one["lr"] = 0.125
    assert seen["lr"] == seen.get("lr") == dict(seen)["lr"] == {**seen}["lr"] == 0.125
    one.update(lr=0.25, betas=[0.5, 0.75])
    assert (seen["lr"], seen["betas"]) == (0.25, (0.5, 0.75))
    one |= {"lr": 1, "maximize": True}
    assert (seen["lr"], seen["maximize"]) == (1.0, True)
    assert one.setdefault("lr", 3) == 1
    assert one.setdefault("initial_lr", 3) == 3
    assert "initial_lr" not in seen
    assert (one | {"lr": 2})["lr"] == 2
    assert one["lr"] == 1


def test_a_copy_of_a_group_is_a_plain_dict():
    one = group()
    one["lr"] = 0.125
    del one["params"]
    for plain in (
        copy.copy(one),
        copy.deepcopy(one),
        one.copy(),
        dict(one),
        pickle.loads(pickle.dumps(one)),
    ):
        assert type(plain) is dict
        assert plain == one
        assert not (one != plain)  # noqa: SIM202  (a method of its own)
        assert plain["lr"] == 0.125
    assert json.loads(json.dumps(one))["lr"] == 0.125
    assert repr(one) == repr(dict(one))
    assert set(one.items()) == set(zip(one.keys(), one.values(), strict=True))


def test_a_tensor_may_give_the_rate():
    shared = params([(2,)])
    mine = optim.Adam(shared, lr=torch.tensor(0.5))
    assert mine.param_groups[0]["lr"] == 0.5
    mine.param_groups[0]["lr"] = torch.tensor(0.25)
    give_grads(shared, seed=0)
    mine.step()
    assert mine.param_groups[0]["lr"] == 0.25


def test_an_optimizer_in_a_cycle_goes_when_a_second_one_comes():
    shared = params([(2,)])
    mine = optim.Adam(shared)
    mine.trainer, first = [mine], weakref.ref(mine)
    gc.disable()
    try:
        del mine
        assert first() is not None
        optim.Adam(shared)
    finally:
        gc.enable()
    assert first() is None
