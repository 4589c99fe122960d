"""The checking mode: a lock-free op that touches guarded memory raises, and changes nothing."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest
import torch
from op_table import DENSE, INDEXED, NUMBER, WAIT
from support import TIMEOUT, assert_refused

from caffe2op_atomics import GuardedTensor, _guarded_memory, ops, optim

LOCK_FREE = DENSE + NUMBER + INDEXED + WAIT
RULE = (
    "target must be left to the guarded ops (CAFFE2OP_ATOMICS_CHECK is set), got memory of a "
    "GuardedTensor or an optimizer"
)


@pytest.fixture
def checking(monkeypatch):
    monkeypatch.setattr(_guarded_memory, "_IS_ON", True)


class Owner:
    pass


@pytest.mark.parametrize("op", LOCK_FREE, ids=lambda op: op.name)
def test_every_lock_free_op_is_refused(op, checking):
    args = op.arguments(op.dtypes[0])
    owner = Owner()
    _guarded_memory.note(owner, args[:1])
    assert_refused(op.overload, args, f"{op.name.split('.')[0]}: {RULE}")
    del owner
    op.overload(*args, **op.keywords)


def refuses(call):
    with pytest.raises(RuntimeError) as caught:
        call()
    return RULE in str(caught.value)


def test_views_of_guarded_memory_are_refused_and_what_lies_beside_it_is_not(checking):
    base = torch.zeros(4, 3).share_memory_()
    guarded = GuardedTensor(base)
    assert refuses(lambda: ops.load(base[2, 1:]))
    assert refuses(lambda: ops.add_(guarded.tensor.t()[1:], 1))
    ops.add_(torch.zeros(4, 3), base)  # an operand is read plainly, as by torch
    ops.add_(base[:0], 1)
    ops.add_(torch.zeros(3).share_memory_(), 1)
    guarded.add_(1).index_add_(0, torch.tensor([1]), 2).store_(0).exchange(3)
    assert torch.equal(guarded.snapshot(), torch.full((4, 3), 3.0))


def test_parameters_and_moments_of_an_optimizer_are_refused_until_it_is_gone(checking):
    param = torch.nn.Parameter(torch.zeros(3).share_memory_())
    optimizer = optim.Adam([param])
    moment = optimizer.state[param]["exp_avg"]
    optimizer.step(grads=[torch.ones(3)])
    optimizer.param_groups[0]["lr"] = 0.5
    optimizer.load_state_dict(optimizer.state_dict())
    assert refuses(lambda: ops.add_(param, 1))
    assert refuses(lambda: ops.add_(moment, 1))
    del optimizer
    gc.collect()
    ops.add_(param, 1)
    ops.add_(moment, 1)


def test_memory_is_free_when_the_last_owner_is_gone(checking):
    memory = torch.zeros(3).share_memory_()
    first, second = Owner(), Owner()
    _guarded_memory.note(first, [memory])
    _guarded_memory.note(second, [memory])
    del first
    assert refuses(lambda: ops.add_(memory, 1))
    del second
    ops.add_(memory, 1)


@pytest.mark.parametrize("value", ["0", "1"])
def test_the_environment_switches_it_on_in_every_process(value, tmp_path):
    program = """
        import torch.multiprocessing as mp
        from caffe2op_atomics import GuardedTensor, ops

        def attempt(guarded):
            try:
                ops.add_(guarded.tensor, 1)
            except RuntimeError:
                print("refused", flush=True)

        if __name__ == "__main__":
            guarded = GuardedTensor([3])
            attempt(guarded)
            child = mp.get_context("spawn").Process(target=attempt, args=(guarded,))
            child.start()
            child.join()
    """
    environment = {**os.environ, "CAFFE2OP_ATOMICS_CHECK": value}
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(program))
    done = subprocess.run(
        [sys.executable, path],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert done.stdout.split() == ["refused"] * (2 if value == "1" else 0)


def add_in_children(leave):
    value = torch.zeros(1)
    others = [threading.Thread(target=lambda: add_until(leave)) for _ in range(2)]
    for other in others:
        other.start()
    try:
        for _ in range(100):
            child = os.fork()
            if child == 0:
                ops.add_(value, 1)
                os._exit(0)
            wait_for(child)
    finally:
        leave.set()
        for other in others:
            other.join()


def add_until(leave):
    value = torch.zeros(1)
    while not leave.is_set():
        ops.add_(value, 1)


def wait_for(child):
    end = time.monotonic() + TIMEOUT
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise AssertionError("a child hangs")
        time.sleep(0.001)


def test_a_child_of_a_fork_does_not_wait_for_a_thread_that_was_left_behind(checking):
    guarded = GuardedTensor([3])
    add_in_children(threading.Event())
    assert refuses(lambda: ops.add_(guarded.tensor, 1))
