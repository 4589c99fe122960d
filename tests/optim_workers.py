"""What tests do with an optimizer in another process."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
from support import TIMEOUT
from torch import nn

from caffe2op_atomics import optim

ROUNDS = 200


def made(kind: str = "Adam", **options: Any) -> tuple[nn.Linear, Any]:
    """A shared model and its optimizer."""
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    model.share_memory()
    return model, getattr(optim, kind)(model.named_parameters(), **options)


def give_ones(model: nn.Module) -> None:
    for param in model.parameters():
        param.grad = torch.ones_like(param)


def step_once(model: nn.Module, optimizer: Any) -> None:
    """Also what was set in the parent is there."""
    torch.set_num_threads(1)
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert optimizer.param_groups[0]["initial_lr"] == 2
    assert all(param.is_shared() for param in model.parameters())
    give_ones(model)
    optimizer.step()
    optimizer.zero_grad()


def receive_and_step(queue: Any, strategy: str) -> None:
    """Step, and let others step: by inheritance and by sending on."""
    torch.set_num_threads(1)
    mp.set_sharing_strategy(strategy)
    items = queue.get(timeout=TIMEOUT)
    step_once(*items)
    finish("fork", step_once, *items)
    thread = threading.Thread(target=lambda: step_once(*queue.get(timeout=TIMEOUT)))
    thread.start()
    queue.put(items)
    thread.join(TIMEOUT)


def finish(method: str, work: Callable[..., object], *args: Any) -> None:
    """Run in another process, which ends well."""
    process = mp.get_context(method).Process(target=work, args=args)
    process.start()
    process.join(TIMEOUT)
    assert process.exitcode == 0


def meet_the_traps(apart: Any, model: nn.Module, optimizer: Any, loaded: dict[str, Any]) -> None:
    """The traps of torch's optimizers in shared memory, met in a spawned process."""
    torch.set_num_threads(1)
    # Model and optimizer as two items: step() of torch changes nothing, and says nothing.
    lone_model, lone_optimizer = apart.get(timeout=TIMEOUT), apart.get(timeout=TIMEOUT)
    give_ones(lone_model)
    with pytest.raises(RuntimeError, match="came to this process separately"):
        lone_optimizer.step()
    # An optimizer made in the parent keeps private moments in each worker.
    state = optimizer.state[model.weight]
    assert state["step"] == 1
    assert state["exp_avg"].is_shared()
    assert state["exp_avg"].any()
    # A scheduler in one worker acts there only.
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    give_ones(model)
    optimizer.step()
    scheduler.step()
    # load_state_dict() of a copy puts the copy into the place of what is shared.
    give_ones(model)
    optimizer.load_state_dict(copy.deepcopy(loaded))
    assert optimizer.state[model.weight] is state
    optimizer.step()
    # Plain pickle and deepcopy give a private optimizer.
    for way in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot pickle or copy Adam"):
            way(optimizer)
    # A second optimizer in the worker has moments and locks of its own.
    for params in (model.parameters(), [apart.get(timeout=TIMEOUT)]):
        with pytest.raises(RuntimeError, match="got some of Adam in this process"):
            optim.SGD(params)


def add(rank: int, model: nn.Module, optimizer: Any, rounds: int, local: bool) -> None:
    """Step by gradients of 1, straight or by a local model."""
    torch.set_num_threads(1)
    mine = copy.deepcopy(model) if local else model
    for _ in range(rounds):
        if local:
            optimizer.pull(mine)
        give_ones(mine)
        optimizer.step(grads_from=mine if local else None)


def set_rate_and_step(model: nn.Module, optimizer: Any, rates: Any, told: Any) -> None:
    torch.set_num_threads(1)
    for _ in range(3):
        told.put(optimizer.param_groups[0]["lr"])
        rates.get(timeout=TIMEOUT)
        give_ones(model)
        optimizer.step()


def claim(params: Any, answers: Any) -> None:
    """Make optimizers over parameters that arrive without one, and tell how that went."""
    while (param := params.get(timeout=TIMEOUT)) is not None:
        try:
            optim.SGD([param])
            answers.put("made")
        except RuntimeError as error:
            answers.put(str(error))
