"""How much memory the locks take beside what they guard."""

from __future__ import annotations

import torch
from rich.console import Console
from torch import nn

import caffe2op_atomics as atomics


def overhead(megabytes: int) -> float:
    """Return what an optimizer without moments adds to a model of this size, as a part of it."""
    model = nn.Linear(1024, megabytes * 256, bias=False, dtype=torch.float32).share_memory()
    optimizer = atomics.optim.SGD(model.parameters())
    memory = optimizer._memory
    added = memory.bank.nbytes + memory.steps.nbytes + memory.cells.nbytes
    return added / sum(param.nbytes for param in model.parameters())


def print_overheads() -> None:
    """Print it for several sizes; moments are as many as torch's."""
    shares = ", ".join(f"{size} MB: {overhead(size):.2%}" for size in (1, 16, 64, 256))
    Console().print(f"Memory beside a float32 model's parameters (aimed at: under 1%): {shares}.")
