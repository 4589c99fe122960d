"""What is read during training is one moment of it."""

from __future__ import annotations

import time

import pytest
import torch
import torch.multiprocessing as mp
from support import TIMEOUT
from torch import nn

from caffe2op_atomics import optim

SIZES = [3000, 300_000, 3000]  # copying the middle one takes long


def train(rank: int, optimizer, shared: list[nn.Parameter]) -> None:
    """Step the first, then the last, and so on."""
    torch.set_num_threads(1)
    local = [nn.Parameter(torch.zeros_like(param)) for param in shared]
    while True:
        for place in (0, -1):
            local[place].grad = torch.ones_like(local[place])
            optimizer.step(grads_from=local)
            local[place].grad = None


@pytest.mark.parametrize("method", ["snapshot", "pull", "state_dict"])
def test_what_is_read_during_training_is_one_moment(method):
    """After n steps by a gradient of 1 the buffer is n and the parameter -n(n + 1) / 2."""
    shared = [nn.Parameter(torch.zeros(n, dtype=torch.float64).share_memory_()) for n in SIZES]
    mine = optim.SGD(shared, lr=1, momentum=1)
    workers = mp.start_processes(train, (mine, shared), nprocs=2, join=False, start_method="fork")
    try:
        seen = set()
        deadline = time.monotonic() + TIMEOUT
        while len(seen) < 20:
            assert time.monotonic() < deadline
            local, state = [nn.Parameter(torch.zeros_like(param)) for param in shared], None
            if method == "pull":
                mine.pull(local)
            elif method == "snapshot":
                state = mine.snapshot(local)["state"]
            else:
                state = mine.state_dict()["state"]
            if state is not None and state.keys() != {0, 2}:
                continue  # not yet begun
            begin, _, end = (((1 - 8 * param.detach()).sqrt() - 1) / 2 for param in local)
            if state is not None:
                buffers = [state[number]["momentum_buffer"].clamp(min=0) for number in (0, 2)]
                if method == "snapshot":
                    assert buffers[0].equal(begin)
                    assert buffers[1].equal(end)
                begin, end = buffers
            assert begin.equal(begin.round())
            assert begin.max() - begin.min() <= 2  # of each worker one step may be under way
            assert 0 <= (begin[0] - end[0]) <= 2
            seen.add(begin[0].item())
    finally:
        for process in workers.processes:
            process.kill()
            process.join()
