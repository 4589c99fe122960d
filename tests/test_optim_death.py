"""A worker that dies in a step leaves at most one stripe that is torn, and holds up nobody."""

from __future__ import annotations

import os
import random
import signal
import time

import torch
from named_files import ended, in_fork
from torch import nn

from caffe2op_atomics import optim

STRIPE = 16384 // 8
STRIPES = 100  # a worker is seldom outside of a step


def test_killed_workers_tear_one_stripe_each_at_most_which_is_counted():
    # After n steps by a gradient of 1 the buffer is n and the parameter -n(n + 1) / 2.
    shared = nn.Parameter(torch.zeros(STRIPES * STRIPE, dtype=torch.float64).share_memory_())
    optimizer = optim.SGD([shared], lr=1, momentum=1)
    local = nn.Parameter(torch.zeros_like(shared))
    local.grad = torch.ones_like(shared)

    def step_for_ever() -> None:
        torch.set_num_threads(1)
        while True:
            optimizer.step(grads_from=[local])

    kills = 30
    for _ in range(kills):
        pid = in_fork(step_for_ever)
        time.sleep(random.uniform(0.01, 0.03))
        os.kill(pid, signal.SIGKILL)
        assert ended(pid) == -signal.SIGKILL
        optimizer.step(grads_from=[local])
    buffer = optimizer.state[shared]["momentum_buffer"]
    assert kills <= buffer.min()
    # Each kill leaves the rest of a step undone, so that stripes differ by one step for each.
    assert buffer.max() - buffer.min() <= kills
    assert buffer.max() <= optimizer.state[shared]["step"] <= buffer.min() + kills
    torn = (shared.detach() != -buffer * (buffer + 1) / 2).view(STRIPES, STRIPE).any(dim=1)
    assert torn.sum() <= optimizer.torn_stripes <= optimizer.recoveries <= kills
    assert optimizer.recoveries > kills // 4
    pulled = [torch.empty_like(shared)]
    optimizer.pull(pulled)
    assert pulled[0].equal(shared.detach())
