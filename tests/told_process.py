"""Processes that share one of each object, and do with them what they are told through a pipe."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

import torch
import torch.multiprocessing as mp
from named_files import ended, in_fork
from support import TIMEOUT
from torch import Tensor

from caffe2op_atomics import AtomicBool, Counter, GuardedTensor, Mutex

_ops = torch.ops.atomics

SIZE = 4


class Objects:
    """What is shared, and what a process can be told to do with it."""

    def __init__(self, name: str | None) -> None:
        def of(kind: str) -> str | None:
            return name and f"{name}.{kind}"

        self.mutex = Mutex(name=of("mutex"))
        self.recovering = Mutex("recover", tensor=self.mutex.tensor)
        self.counter, self.flag = Counter(name=of("counter")), AtomicBool(name=of("flag"))
        self.table = GuardedTensor(torch.zeros(SIZE, dtype=torch.int64), name=of("table"))

    def look(self) -> Any:
        """Return all that can be seen without changing anything."""
        return (
            self.mutex.owner(),
            self.mutex.locked(),
            self.counter.value,
            self.flag.is_set(),
            self.table.snapshot().tolist(),
            self.table.recoveries,
        )

    def recoveries(self) -> int:
        return _ops.mutex_recoveries(self.mutex.tensor)[0]

    def acquire_and_end(self) -> bool:
        """Acquire in a thread that ends, which is a death."""
        got: list[bool] = []
        thread = threading.Thread(target=lambda: got.append(self.recovering.acquire(timeout=0)))
        before = self.mutex.owner()
        thread.start()
        thread.join()
        while self.mutex.owner() != before:  # Python does not wait for all of a thread's end
            time.sleep(0.001)
        return got[0]

    def release_in_fork(self) -> bool:
        """Return whether a forked child, which holds nothing, was refused."""
        return ended(in_fork(self.mutex.release)) != 0

    def lock_stripe(self) -> int:
        status = _ops.mutex_lock(self.table._bank, 0, 0.0)
        if status == 2:
            _ops.mutex_consistent(self.table._bank)
        _ops.mutex_unlock(self.table._bank)
        return status

    def die_in_stripe(self) -> None:
        _ops.mutex_lock(self.table._bank, 0, 0.0)
        os.kill(os.getpid(), signal.SIGKILL)


def serve(pipe: Any, objects: Objects, name: str | None) -> None:
    torch.set_num_threads(1)
    if name:
        objects = Objects(name)
    while True:
        command, args = pipe.recv()
        called: Any = objects
        for part in command.split("."):
            called = getattr(called, part)
        try:
            result = called(*args)
        except Exception as error:
            pipe.send((type(error).__name__, str(error)))
        else:
            if isinstance(result, GuardedTensor):
                result = None
            pipe.send(("returned", result.tolist() if isinstance(result, Tensor) else result))


class Process:
    def __init__(self, objects: Objects, name: str | None) -> None:
        context = mp.get_context("fork")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, objects, name), daemon=True)
        self._process.start()
        theirs.close()
        self.pid = self._process.pid

    def send(self, command: str, *args: Any) -> None:
        self._pipe.send((command, args))

    def answer(self) -> Any:
        assert self._pipe.poll(TIMEOUT), "a process hangs"
        return self._pipe.recv()

    def ask(self, command: str, *args: Any) -> Any:
        self.send(command, *args)
        return self.answer()

    def die(self) -> None:
        self._process.kill()
        self.join()

    def join(self) -> None:
        self._process.join(TIMEOUT)
        assert self._process.exitcode == -signal.SIGKILL
        self._process.close()
        self._pipe.close()
