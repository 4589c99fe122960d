"""Memory has one owner, as long as any process has it."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
import torch.multiprocessing as mp
from support import START_METHODS, TIMEOUT, run_threads
from torch import nn

from caffe2op_atomics import GuardedTensor, _owners, optim


def hold(owners, here, leave):
    here.set()
    leave.wait(TIMEOUT)


@pytest.mark.parametrize("start_method", START_METHODS)
def test_a_receiver_owns_memory_when_the_maker_is_gone(start_method):
    context = mp.get_context(start_method)
    here, leave = context.Event(), context.Event()
    model, tensor = nn.Linear(3, 3).share_memory(), torch.zeros(4)
    owners = optim.SGD(model.parameters()), GuardedTensor(tensor)
    worker = context.Process(target=hold, args=(owners, here, leave))
    worker.start()
    assert here.wait(TIMEOUT)
    del owners
    try:
        with pytest.raises(RuntimeError, match="got some of an object in another process"):
            optim.SGD(model.parameters())
        with pytest.raises(RuntimeError, match="got memory of an object in another process"):
            GuardedTensor(tensor)
    finally:
        leave.set()
        worker.join(TIMEOUT)
    optim.SGD(model.parameters())
    GuardedTensor(tensor)


def test_of_several_threads_one_becomes_the_owner(monkeypatch):
    # Without locks on a file the table alone decides.
    monkeypatch.setattr(_owners, "_lock", lambda _: _owners.Claim(None))
    monkeypatch.setattr(gc, "collect", int)  # takes long, and there is no cycle
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def guard(_: int, tensor: torch.Tensor) -> GuardedTensor | None:
        try:
            return GuardedTensor(tensor)
        except RuntimeError:
            return None

    try:
        for _ in range(300):
            owners = run_threads(3, guard, torch.zeros(4).share_memory_())
            assert len([owner for owner in owners if owner is not None]) == 1
    finally:
        sys.setswitchinterval(interval)


def start_a_program(owners, programs):
    program = subprocess.Popen(["sleep", "100"], close_fds=False)
    programs.put(program.pid)


@pytest.mark.parametrize("start_method", START_METHODS)
def test_a_program_that_a_receiver_started_does_not_own_memory(start_method):
    context = mp.get_context(start_method)
    programs = context.SimpleQueue()
    model = nn.Linear(3, 3).share_memory()
    owner = optim.SGD(model.parameters())
    worker = context.Process(target=start_a_program, args=(owner, programs))
    worker.start()
    program = programs.get()
    end = time.monotonic() + TIMEOUT
    while worker.exitcode is None and time.monotonic() < end:  # join() waits for the program, too
        time.sleep(0.01)
    del owner
    try:
        optim.SGD(model.parameters())
    finally:
        os.kill(program, signal.SIGKILL)
