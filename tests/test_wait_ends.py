"""What else ends a wait: memory that goes or moves meanwhile, and Ctrl-C."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time

import pytest
import torch
from support import TIMEOUT
from waiters import Waiter, notify_until_woken

atomics = torch.ops.atomics


@pytest.mark.parametrize(("elements", "left"), [(2, 0), (2, 8), (2**20, 0)])
def test_wait_says_that_its_target_lost_its_memory(elements, left):
    """Small storages go back to malloc, large ones to the system."""
    values = torch.zeros(elements, dtype=torch.int64)
    waiter = Waiter(atomics.wait, values[-1:], 0, TIMEOUT)
    notify_until_woken(values[-1:], 1)
    values.untyped_storage().resize_(left)
    rule = re.escape("wait: target must still have its memory, got ")
    assert re.fullmatch(f"{rule}(a storage of {left} bytes|an unmapped address)", waiter.join())


def test_wait_follows_a_storage_that_moves_to_shared_memory():
    target = torch.zeros(1, dtype=torch.int32)
    waiter = Waiter(atomics.wait, target, 0, TIMEOUT)
    notify_until_woken(target, 1)
    target.share_memory_()
    atomics.store_.int(target, 1)
    assert waiter.join() is True


def test_target_that_is_given_other_memory_keeps_the_old_one_while_it_is_waited_for():
    target = torch.zeros(2**20, dtype=torch.int32)
    waiter = Waiter(atomics.wait, target[:1], 0, TIMEOUT)
    old = target.detach()
    notify_until_woken(old[:1], 1)
    target.data = torch.ones(1, dtype=torch.int32)
    old[0] = 1
    assert waiter.join() is True


INTERRUPTED = """
import torch
from caffe2op_atomics import ops

print("waiting", flush=True)
try:
    ops.wait(torch.zeros(1, dtype=torch.int64), 0{timeout})
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("timeout", ["", ", timeout=60"])
def test_ctrl_c_ends_wait(timeout):
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED.format(timeout=timeout)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "waiting\n"
            time.sleep(0.2)  # it waits now; a signal before that ends it as well
            start = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=TIMEOUT)[0] == "interrupted\n"
            assert time.monotonic() - start < TIMEOUT / 2
        finally:
            process.kill()
