"""An optimizer reaches other processes whole, and there is one per parameter."""

from __future__ import annotations

import copy
import gc
import io
import multiprocessing
import os
import pickle

import pytest
import torch
import torch.multiprocessing as mp
from optim_workers import (
    ROUNDS,
    add,
    claim,
    finish,
    give_ones,
    made,
    meet_the_traps,
    receive_and_step,
    set_rate_and_step,
    step_once,
)
from optimizers import assert_same
from support import TIMEOUT, run_processes
from torch import nn

from caffe2op_atomics import optim

pytestmark = pytest.mark.contended


def ready(kind: str, **options):
    model, optimizer = made(kind, lr=2, **options)
    optimizer.param_groups[0]["initial_lr"] = 2
    optimizer.param_groups[0]["lr"] = 0.5
    return model, optimizer, model.weight.detach().clone()


def test_arguments_arrive_linked(start_method, strategy):
    model, optimizer, before = ready("SGD")
    finish(start_method, step_once, model, optimizer)
    assert_same([model.weight], [before - 0.5])


def test_items_of_a_queue_arrive_linked_and_can_be_sent_on(strategy):
    context = mp.get_context("spawn")
    model, optimizer, before = ready("SGD")
    queue = context.Queue()
    process = context.Process(target=receive_and_step, args=(queue, strategy))
    process.start()
    queue.put((model, optimizer))
    process.join(TIMEOUT)
    assert process.exitcode == 0
    assert_same([model.weight], [before - 1.5])


def test_no_trap_of_torch_is_left():
    apart = mp.get_context("spawn").Queue()
    model, optimizer = made(lr=0.5)
    apart.put(model)
    apart.put(optimizer)
    apart.put(model.bias)
    give_ones(model)
    optimizer.step()
    loaded = optimizer.state_dict()
    loaded["param_groups"][0]["lr"] = 0.125
    loaded["state"][0]["step"] += 6
    seen = optimizer.param_groups[0]
    before = model.weight.detach().clone()
    model.weight.grad = None
    finish("spawn", meet_the_traps, apart, model, optimizer, loaded)
    assert seen["lr"] == 0.125  # loaded there
    assert optimizer.state[model.weight]["step"] == 8
    assert not model.weight.equal(before)


@pytest.mark.parametrize("local", [False, True], ids=["shared gradients", "pull"])
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_no_step_of_two_workers_is_lost(kind, local):
    model = nn.Linear(2, 30_000)  # many stripes
    model.share_memory()
    with torch.no_grad():
        for param in model.parameters():
            param.zero_()
    # Adam without memory and eps steps by lr whatever the gradient's size.
    options = {"lr": 2.0} if kind == "SGD" else {"lr": 2.0, "betas": (0.0, 0.0), "eps": 0.0}
    optimizer = getattr(optim, kind)(model.parameters(), **options)
    run_processes(2, add, model, optimizer, ROUNDS, local)
    for param in model.parameters():
        assert param.detach().eq(-2.0 * 2 * ROUNDS).all()
    assert all(state["step"] == 2 * ROUNDS for state in optimizer.state.values())


def test_moments_of_two_workers_are_those_of_one_who_makes_all_steps():
    """Equal gradients: their order does not matter, and bias correction counts all of them.

    Two steps may be counted in one order and applied in the other, which moves a weight by less
    than a tenth of a step of 0.1; a lost one moves it by a whole.
    """
    model, optimizer = made("Adam", lr=0.1)
    reference = nn.Linear(3, 2)
    reference.load_state_dict(model.state_dict())
    theirs = torch.optim.Adam(reference.parameters(), lr=0.1)
    run_processes(2, add, model, optimizer, ROUNDS, False)
    add(0, reference, _Plain(theirs), 2 * ROUNDS, False)
    assert_same(list(model.parameters()), list(reference.parameters()), 1e-4, 0.03)
    ours = optimizer.state_dict()["state"]
    for number, entry in theirs.state_dict()["state"].items():
        for key, value in entry.items():
            torch.testing.assert_close(ours[number][key], value, rtol=1e-4, atol=1e-6)


class _Plain:
    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer

    def step(self, grads_from: None) -> None:
        self.optimizer.step()


def test_a_rate_that_is_set_here_is_used_there():
    context = mp.get_context("spawn")
    rates, told = context.Queue(), context.Queue()
    model, optimizer = made("SGD", lr=1)
    before = model.weight.detach().clone()
    process = context.Process(target=set_rate_and_step, args=(model, optimizer, rates, told))
    process.start()
    expected = 1.0
    for rate in (0.5, 0.25, 4.0):
        assert told.get(timeout=TIMEOUT) == expected
        optimizer.param_groups[0]["lr"] = expected = rate
        rates.put(None)
    process.join(TIMEOUT)
    assert process.exitcode == 0
    assert_same([model.weight], [before - 4.75])


def test_a_second_optimizer_waits_until_the_first_is_gone_everywhere():
    context = mp.get_context("spawn")
    params, answers = context.Queue(), context.Queue()
    process = context.Process(target=claim, args=(params, answers))
    process.start()

    def other_process(param) -> str:
        params.put(param)
        return answers.get(timeout=TIMEOUT)

    model, optimizer = made("Adam")
    with pytest.raises(RuntimeError, match=r"^SGD: parameters must have no other optimizer, got"):
        optim.SGD([model.bias])
    assert "got some of an object in another process" in other_process(model.bias)
    finish("fork", claim_in_fork, model.bias, "got some of Adam in this process")
    del optimizer
    assert other_process(model.bias) == "made"
    finish("fork", claim_in_fork, model.bias, None)
    again = optim.SGD(model.parameters())
    assert "got some of an object in another process" in other_process(model.bias)
    del again
    params.put(None)
    process.join(TIMEOUT)
    assert process.exitcode == 0


def claim_in_fork(param: nn.Parameter, refused_for: str | None) -> None:
    if refused_for is None:
        optim.SGD([param])
        return
    with pytest.raises(RuntimeError, match=refused_for):
        optim.SGD([param])


def test_optimizers_leave_no_descriptors_behind():
    model, optimizer = made("Adam")
    del optimizer
    gc.collect()  # or what other tests left is closed meanwhile
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(5):
        optimizer = optim.Adam(model.parameters())
        with pytest.raises(RuntimeError):
            optim.Adam(model.parameters())
        give_ones(model)
        optimizer.step()
        del optimizer
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def save(optimizer: object) -> None:
    torch.save(optimizer, io.BytesIO())


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, pickle.dumps, save])
def test_copies_raise_and_name_the_way(way):
    _, optimizer = made("AdamW")
    with pytest.raises(TypeError, match=r"cannot pickle or copy AdamW.*torch\.multiprocessing"):
        way(optimizer)


def test_another_sharing_strategy_is_refused(strategy):
    _, optimizer = made("SGD")
    other = ({"file_descriptor", "file_system"} - {strategy}).pop()
    mp.set_sharing_strategy(other)
    with pytest.raises(RuntimeError, match=f"^SGD: sharing strategy must be '{strategy}'"):
        multiprocessing.reduction.ForkingPickler.dumps(optimizer)


def test_moved_parameters_are_not_sent():
    model, optimizer = made("SGD")
    model.weight.data = model.weight.data.clone()
    with pytest.raises(RuntimeError, match=r"^SGD: parameters must stay where they were"):
        multiprocessing.reduction.ForkingPickler.dumps(optimizer)


def step_large(model: nn.Module, optimizer) -> None:
    """Without set_num_threads(1): intra-op threads would hang after a fork."""
    give_ones(model)
    optimizer.step()
    optimizer.pull(copy.deepcopy(model))
    optimizer.load_state_dict(optimizer.state_dict())


def test_a_forked_worker_may_step_large_parameters():
    model = nn.Linear(1000, 1000).share_memory()
    optimizer = optim.Adam(model.parameters())
    step_large(model, optimizer)
    finish("fork", step_large, model, optimizer)
    assert optimizer.state[model.weight]["step"] == 2
