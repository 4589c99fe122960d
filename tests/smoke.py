"""What `make test-wheel` tries of an installed package beside its self-test, without a test runner.

An optimizer, and the op library by itself, as a C++ program loads it.
"""

from __future__ import annotations

import subprocess
import sys

import torch

import caffe2op_atomics as atomics

ALONE = """
import ctypes, sys, torch
ctypes.CDLL(sys.argv[1])
cell = torch.zeros((), dtype=torch.int64)
assert torch.ops.atomics.fetch_add.int(cell, 2) == 0 and cell == 2
try:
    torch.ops.atomics.fetch_add.float(cell, 2.0)
except RuntimeError as error:  # thrown here and caught by torch: they share a C++ library
    assert "got int64" in str(error), error
else:
    raise AssertionError("a float was added to an int64")
"""


def training() -> None:
    ours, theirs = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    ours.share_memory()
    steppers = [
        (ours, atomics.optim.Adam(ours.parameters(), lr=0.1)),
        (theirs, torch.optim.Adam(theirs.parameters(), lr=0.1)),
    ]
    for model, optimizer in steppers:
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.ones(4, 3)).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours.weight, theirs.weight)


def alone() -> None:
    subprocess.run([sys.executable, "-c", ALONE, atomics.library_path()], check=True, timeout=60)


if __name__ == "__main__":
    training()
    alone()
