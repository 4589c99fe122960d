"""Programs of their own that share by name, and the files behind names."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from support import TIMEOUT

from caffe2op_atomics._shared_file import DIRECTORY


def path_of(name: str) -> Path:
    return DIRECTORY / f"caffe2op_atomics.{os.geteuid()}.{name}"


def start(script: str, *args: object) -> subprocess.Popen[str]:
    """Run a script in a program that shares nothing with this one but what it finds by name."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, args)], stdout=subprocess.PIPE, text=True
    )


@contextmanager
def on_cores_of_their_own(*pids: int) -> Iterator[None]:
    """Keep the main threads of processes apart: two on one core take turns and lose nothing."""
    cores = sorted(os.sched_getaffinity(0))
    before = [(pid, os.sched_getaffinity(pid)) for pid in pids]
    for index, pid in enumerate(pids):
        os.sched_setaffinity(pid, {cores[index % len(cores)]})
    try:
        yield
    finally:
        for pid, affinity in before:
            with suppress(ProcessLookupError):
                os.sched_setaffinity(pid, affinity)


def outputs(programs: list[subprocess.Popen[str]]) -> list[str]:
    """Wait for programs to end well; return what they print, and leave none behind."""
    try:
        printed = [program.communicate(timeout=TIMEOUT)[0] for program in programs]
    finally:
        for program in programs:
            program.kill()
            program.communicate()
    assert [program.returncode for program in programs] == [0] * len(programs)
    return printed


def in_fork(work: Callable[[], object]) -> int:
    """Call ``work()`` in a forked child and return its pid. It ends without any cleaning up."""
    pid = os.fork()
    if pid == 0:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(TIMEOUT)  # nobody is left behind
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return pid


def ended(pid: int) -> int:
    """Wait for a child; return its exit status, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run_forks(works: Iterable[Callable[[], object]]) -> None:
    """Call each in a child of its own, and leave none behind."""
    running = [in_fork(work) for work in works]
    try:
        while running:
            status = os.waitpid(running[0], 0)[1]
            del running[0]
            assert os.waitstatus_to_exitcode(status) == 0, "a child failed"
    finally:
        for pid in running:
            os.kill(pid, signal.SIGKILL)
            ended(pid)
