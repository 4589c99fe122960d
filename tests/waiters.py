"""Threads that wait for a change, for the tests of ``wait`` and ``notify``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import torch
from support import TIMEOUT
from torch import Tensor

from caffe2op_atomics import ops


def cell(dtype: torch.dtype, value: int = 0) -> Tensor:
    return torch.full((1,), value, dtype=dtype).share_memory_()


class Waiter:
    """A thread in ``wait``, and what came of it."""

    def __init__(self, wait: Callable[..., Any], *args: Any) -> None:
        self.result: Any = None
        self._call = (wait, args)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        wait, args = self._call
        try:
            self.result = wait(*args)
        except RuntimeError as error:
            self.result = str(error).splitlines()[0]

    def join(self) -> Any:
        self._thread.join(TIMEOUT)
        assert not self._thread.is_alive(), "a waiter did not end"
        return self.result


def notify_until_woken(target: Tensor, count: int, at_most: int = -1) -> int:
    """Wake ``count`` waiters that may not sleep yet; the value does not change, so they go on."""
    for _ in range(100 * TIMEOUT):
        if (woken := ops.notify(target, at_most)) >= count:
            return woken
        time.sleep(0.01)
    raise AssertionError("nobody waits")
