"""Processes that are killed in the middle of a guarded op, at a moment that is known exactly."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.multiprocessing as mp
from support import TIMEOUT
from torch import Tensor

atomics = torch.ops.atomics


def held_by(pid: int, bank: Tensor) -> list[int]:
    return [i for i in range(bank.size(0)) if atomics.mutex_owner(bank, i) == pid]


def in_step(bank: Tensor) -> list[int]:
    """The mutexes whose holder is in a fused step, by the field in csrc/cpu/mutex/slot.h."""
    return (bank[:, 112] % 2).nonzero()[:, 0].tolist()


def _loop(work: Callable[[], None], ready: Any) -> None:
    torch.set_num_threads(1)  # intra-op threads hang in a forked child
    work()
    ready.set()
    while True:
        work()


def kill_when(is_time: Callable[[int], Any], work: Callable[[], None]) -> Any:
    """Run ``work`` over and over in a process and kill it there.

    It is stopped at random moments until ``is_time(its process id)`` is true; return that.
    """
    context = mp.get_context("fork")
    ready = context.Event()
    process = context.Process(target=_loop, args=(work, ready), daemon=True)
    process.start()
    pid = process.pid
    assert pid is not None
    try:
        assert ready.wait(TIMEOUT)
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            time.sleep(random.random() / 1000)
            os.kill(pid, signal.SIGSTOP)
            os.waitpid(pid, os.WUNTRACED)
            if found := is_time(pid):
                return found
            os.kill(pid, signal.SIGCONT)
        raise AssertionError("the moment did not come")
    finally:
        process.kill()
        process.join(TIMEOUT)


def _work_and_die(work: Callable[[], Any]) -> None:
    work()
    os.kill(os.getpid(), signal.SIGKILL)


def die(work: Callable[[], Any]) -> None:
    """Run ``work`` in a forked process that is killed after it."""
    process = mp.get_context("fork").Process(target=_work_and_die, args=(work,))
    process.start()
    process.join(TIMEOUT)
    assert process.exitcode == -signal.SIGKILL
