"""Threads for calls into torch that may take longer than their caller waits."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable


class _Helpers:
    """Threads that never end.

    One that has looked up a name takes a lock of glibc when it ends, and a process that is forked
    at that moment could never look up any.
    """

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)

    def call(self, job: Callable[[], None]) -> None:
        if not self._idle.acquire(blocking=False):
            threading.Thread(target=self._work, name="caffe2op_atomics", daemon=True).start()
        self._jobs.put(job)

    def _work(self) -> None:
        while True:
            self._jobs.get()()
            self._idle.release()


_helpers = _Helpers()


def call_in_thread(job: Callable[[], None]) -> None:
    """Call ``job``, which must not raise, and do not wait for it."""
    _helpers.call(job)


def _enter_child() -> None:
    global _helpers  # threads are not forked
    _helpers = _Helpers()


os.register_at_fork(after_in_child=_enter_child)
