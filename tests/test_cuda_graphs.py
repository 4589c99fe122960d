"""CUDA graphs: what an op did while it was captured, each replay does."""

from __future__ import annotations

import pytest
import torch

from caffe2op_atomics import is_supported

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
    pytest.mark.skipif(
        not is_supported("add_", torch.float32, "cuda"), reason="no kernels for CUDA in this build"
    ),
]

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
