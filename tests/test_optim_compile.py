"""An optimizer in a compiled function steps the shared parameters, as it does in an eager one."""

from __future__ import annotations

import copy

import pytest
import torch
from optimizers import ONE_OF_EACH, assert_same, named, ours
from support import NO_WARNINGS, run_threads
from torch import nn

from caffe2op_atomics import optim

pytestmark = [*NO_WARNINGS, pytest.mark.usefixtures("fresh_compiler")]

backends = pytest.mark.parametrize("backend", ["inductor", "aot_eager"])


def trained(kind: str, options: dict, compile_step):
    torch.manual_seed(0)
    model = nn.Linear(5, 3).share_memory()
    optimizer = ours(kind, model.parameters(), **options)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    local = copy.deepcopy(model)

    def train(x):
        optimizer.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()
        optimizer.pull(local)
        local.zero_grad()
        local(x).square().sum().backward()
        optimizer.step(grads_from=local)
        scheduler.step()
        return model(x).sum()

    step = compile_step(train)
    for _ in range(3):
        step(torch.ones(2, 5))
    addresses = [param.data_ptr() for param in model.parameters()]
    assert addresses == optimizer._addresses
    return [*model.parameters(), *optimizer._saved()]


@backends
@pytest.mark.parametrize("case", ONE_OF_EACH, ids=named)
def test_training_step(case, backend):
    compiled = trained(*case, lambda train: torch.compile(train, backend=backend))
    assert_same(compiled, trained(*case, lambda train: train))


@backends
def test_no_compiled_step_is_lost_beside_an_eager_thread(backend):
    n, size = 50, 100_000
    model = nn.Module()
    model.weight = nn.Parameter(torch.zeros(size))
    model.share_memory()
    optimizer = optim.SGD(model.parameters(), lr=1, maximize=True)
    ones = [torch.ones(size)]

    def eager():
        optimizer.step(grads=ones)

    step = torch.compile(lambda: optimizer.step(grads=ones), backend=backend)
    step()

    def work(rank):
        for _ in range(n):
            (step if rank else eager)()

    run_threads(2, work)
    assert model.weight.equal(torch.full((size,), float(2 * n + 1)))
