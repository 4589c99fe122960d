"""Threads and processes that may hang or die: whoever waits for one of these does not.

Of other threads' and processes' work only the answer is waited for, for so many seconds. What has
none then is left behind: a thread ends with the process, a process is killed.
"""

from __future__ import annotations

import faulthandler
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from threading import Thread
from typing import Any

import torch
import torch.multiprocessing as mp

# Seconds after which a process ends by itself, whatever holds it up, the GIL included.
LIFE = 300.0


class Job:
    """A call in another thread."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._outcome: Future[Any] = Future()
        Thread(target=self._run, args=(call,), daemon=True).start()

    def _run(self, call: Callable[[], Any]) -> None:
        try:
            self._outcome.set_result(call())
        except BaseException as error:
            self._outcome.set_exception(error)

    def result(self, seconds: float) -> Any:
        """Return what the call returned, or raise what it raised.

        Raises:
            TimeoutError: if it did not end within ``seconds``.
        """
        # Not by the type: in Python 3.10 the future's is another one.
        if not self._outcome.done():
            with suppress(Exception):
                self._outcome.exception(seconds)
        if not self._outcome.done():
            raise TimeoutError(f"no end within {seconds:g} s")
        return self._outcome.result()


class Helper:
    """A process, started by spawn, that does what it is told, one thing after the other."""

    def __init__(self) -> None:
        context = mp.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def begin(self, work: Callable[..., Any], *args: Any) -> None:
        """Have it call ``work(*args)``, of which :meth:`result` gives the result."""
        with suppress(ConnectionError):  # it ended, as result() will say
            self._connection.send((work, args))

    def result(self, seconds: float) -> Any:
        """Return what its call returned.

        Raises:
            TimeoutError: if it has not answered within ``seconds``.
            RuntimeError: if its call raised, or the process ended.
        """
        if not self._connection.poll(seconds):
            self._process.kill()  # or a late answer would be taken for the next one
            raise TimeoutError(f"another process had no answer within {seconds:g} s")
        try:
            error, value = self._connection.recv()
        except (EOFError, ConnectionError):
            self._process.join(seconds)
            code = self._process.exitcode
            raise RuntimeError(f"another process ended with exit code {code}") from None
        if error is not None:
            raise RuntimeError(f"in another process: {error}")
        return value

    def kill(self) -> None:
        """End it, whatever it is doing."""
        self._process.kill()
        self._process.join()
        self._connection.close()


def _serve(connection: Connection) -> None:
    faulthandler.dump_traceback_later(LIFE, exit=True)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    torch.set_num_threads(1)
    connection.send((None, None))  # it has come
    while True:
        answer: tuple[str | None, Any]
        try:
            work, args = connection.recv()
            answer = None, work(*args)
        except EOFError:  # the parent ended
            return
        except Exception as error:
            answer = f"{type(error).__name__}: {error}", None
        connection.send(answer)


class Crew:
    """Helpers, which are started at once and come when they come."""

    def __init__(self, size: int) -> None:
        self._helpers: list[Helper] = []
        self._arrival = Job(partial(self._gather, size))

    def _gather(self, size: int) -> float:
        began = time.monotonic()
        for _ in range(size):
            self._helpers.append(Helper())
        for helper in self._helpers:
            helper.result(LIFE)
        return time.monotonic() - began

    def arrive(self, seconds: float) -> float:
        """Wait until all are there, and return how many seconds that took them.

        Raises:
            TimeoutError, RuntimeError, OSError: if they do not come.
        """
        return float(self._arrival.result(seconds))

    def helpers(self) -> list[Helper]:
        """Return those that have come.

        Raises:
            RuntimeError: if not all have.
        """
        try:
            self.arrive(0)
        except Exception:
            raise RuntimeError("it takes other processes, which did not come") from None
        return self._helpers

    def end(self) -> None:
        """End all."""
        for helper in list(self._helpers):
            helper.kill()
