"""CUDA graphs: what an op did while it was captured, each replay does."""

from __future__ import annotations

import torch
from support import NEEDS_GPU

pytestmark = NEEDS_GPU

REPLAYS = 5


def test_captured_op_adds_once_for_each_replay():
    target, one = torch.zeros(1000, device="cuda"), torch.ones(1000, device="cuda")
    torch.ops.atomics.add_(target, one)  # warm
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        torch.ops.atomics.add_(target, one)
    for _ in range(REPLAYS):
        graph.replay()
    torch.cuda.synchronize()
    assert target.eq(1 + REPLAYS).all()
