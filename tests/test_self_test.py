"""The self-test passes here, and says what is broken, without a hang or a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from support import TIMEOUT

import caffe2op_atomics
from caffe2op_atomics import Counter, _self_checks, _self_test
from caffe2op_atomics._helpers import Crew, Helper, Job

PACKAGE_ROOT = str(Path(caffe2op_atomics.__file__).parent.parent)

# The command, of some checks only.
SOME = """
import sys
from caffe2op_atomics import __main__, _self_test

_self_test.CHECKS = {name: _self_test.CHECKS[name] for name in sys.argv.pop(1).split(", ")}
__main__.main()
"""


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": PACKAGE_ROOT},
    )


def test_all_checks_pass_from_any_folder(tmp_path):
    done = run(sys.executable, "-m", "caffe2op_atomics", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.partition("self-test\n")[2].splitlines()
    assert [line[2:17].rstrip() for line in lines[:-1]] == list(_self_test.CHECKS)
    assert {line[19:25] for line in lines[:-1]} == {"ok    "}
    assert lines[-1].startswith("  all passed in ")
    assert "\x1b" not in done.stdout
    assert not list(tmp_path.iterdir())


def test_few_descriptors_are_a_failed_check(tmp_path):
    command = f'ulimit -n 12; exec {sys.executable} -c "$0" "other processes, threads"'
    done = run("sh", "-c", command, SOME, cwd=tmp_path)
    assert done.returncode == 1
    assert "of 12 in use (ulimit -n, at most 12): FEW" in done.stdout
    assert "  other processes  FAILED  OSError: [Errno 24] Too many open files\n" in done.stdout
    assert "  threads          " in done.stdout
    assert "of 2 checks FAILED in " in done.stdout.splitlines()[-1]


def test_full_shared_memory_is_a_failed_check(tmp_path):
    full = "mount -t tmpfs -o size=4k tmpfs /dev/shm"
    if run("unshare", "-rm", "sh", "-c", full, cwd=tmp_path).returncode != 0:
        pytest.skip("no mount namespace of our own")
    command = f'{full}; exec {sys.executable} -c "$0" "guarded tensor"'
    done = run("unshare", "-rm", "sh", "-c", command, SOME, cwd=tmp_path)
    assert done.returncode == 1
    assert "0 bytes of 4.0 KiB in use: FULL" in done.stdout
    (line,) = (line for line in done.stdout.splitlines() if "guarded tensor" in line)
    assert line.startswith(
        "  guarded tensor   FAILED  RuntimeError: unable to allocate shared memory"
    )
    assert "No space left on device" in line
    assert "Traceback" not in done.stdout + done.stderr


class NoCrew:
    """Of checks that need no other process."""

    def __init__(self, _: int) -> None: ...

    def end(self) -> None: ...


@pytest.fixture
def only(monkeypatch):
    """Leaves only the checks that a test gives."""
    monkeypatch.setattr(_self_test, "Crew", NoCrew)
    return lambda **checks: monkeypatch.setattr(_self_test, "CHECKS", checks)


def test_lost_additions_fail(only, monkeypatch, capfd):
    only(threads=_self_checks.threads)
    monkeypatch.setattr(_self_checks.ops, "add_", lambda target, other: target[1:].add_(other[1:]))
    assert not _self_test.run()
    text = "  threads          FAILED  of 52,428,800 additions "
    assert text in capfd.readouterr().out


def test_check_that_hangs_fails_and_the_next_one_runs(only, capfd):
    only(hangs=lambda _: time.sleep(60), works=lambda _: "as promised")
    assert not _self_test.run(0.2)
    hangs, works, count = capfd.readouterr().out.splitlines()[1:]
    assert hangs == "  hangs            FAILED  no end within 0.2 s"
    assert works == "  works            ok      as promised"
    assert count.startswith("  1 of 2 checks FAILED in ")


def test_op_in_a_graph_fails(monkeypatch):
    @torch.library.custom_op("atomics_of_a_test::add_", mutates_args=["target"])
    def add(target: torch.Tensor, other: int) -> None:
        target += other

    monkeypatch.setattr(_self_checks.ops, "add_", add)
    torch._dynamo.reset()
    with pytest.raises(_self_checks.CheckError, match="compiled into a graph"):
        _self_checks.compile_guard(None)


class Actor:
    """Stands for helpers that come to where they wait, and give a known answer."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def helpers(self) -> list[Actor]:
        return [self, self]

    def begin(self, work: object, *args: object) -> None:
        if isinstance(args[-1], Counter):
            args[-1].next()

    def result(self, seconds: float) -> object:
        return self.answer() if callable(self.answer) else self.answer

    def kill(self) -> None: ...


@pytest.mark.parametrize(
    ("check", "answer", "text"),
    [
        ("counter", None, "2 processes counted to 200,000, and 0 came of it"),
        ("guarded", None, "of 26,214,400 guarded additions 26,214,400 are missing"),
        ("processes", None, "of 26,214,400 additions 26,214,400 are missing"),
        ("flag", None, "a flag was set, and who waited for it did not see it in 20 s"),
        (
            "flag",
            lambda: time.monotonic() + 0.04,
            "who waits for a flag is not woken, but looks every 50 ms",
        ),
        ("name", None, "another process added 41 to 1 by name, and 1 came of it"),
        ("killed_holder", None, "a mutex whose holder was killed was not had within 20 s"),
        (
            "killed_holder",
            lambda: (time.monotonic(), False),
            "a mutex whose holder was killed was had, but without OwnerDiedError",
        ),
        (
            "killed_holder",
            lambda: (time.monotonic() + 3, True),
            "a mutex whose holder was killed was had 3.0 s later: over 1 s",
        ),
    ],
)
def test_broken_promise_fails(check, answer, text):
    with pytest.raises(_self_checks.CheckError) as caught:
        getattr(_self_checks, check)(Actor(answer))
    assert str(caught.value) == text


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    crew = Crew(1)
    crew.arrive(TIMEOUT)
    yield crew
    crew.end()


def test_error_of_a_helper_is_told(crew):
    (helper,) = crew.helpers()
    helper.begin(int, "x")
    with pytest.raises(RuntimeError, match=r"^in another process: ValueError: invalid literal"):
        helper.result(TIMEOUT)
    helper.begin(int, "7")
    assert helper.result(TIMEOUT) == 7


def test_helper_that_ends_is_told(crew):
    (helper,) = crew.helpers()
    helper.begin(os._exit, 3)
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"^another process ended with exit code 3$"):
            helper.result(TIMEOUT)
        helper.begin(int, "7")


def test_helper_without_an_answer_is_killed():
    helper = Helper()
    with pytest.raises(TimeoutError, match=r"^another process had no answer within 0\.01 s$"):
        helper.result(0.01)  # it is still on its way
    with pytest.raises(RuntimeError, match=r"^another process ended with exit code -9$"):
        helper.result(TIMEOUT)
    helper.kill()


def test_crew_that_does_not_come_is_told(monkeypatch):
    def fail(_: Helper) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(Helper, "__init__", fail)
    crew = Crew(2)
    with pytest.raises(BlockingIOError):
        crew.arrive(TIMEOUT)
    with pytest.raises(RuntimeError, match=r"^it takes other processes, which did not come$"):
        crew.helpers()
    crew.end()


def test_job_raises_what_its_call_raised():
    with pytest.raises(ZeroDivisionError):
        Job(lambda: 1 / 0).result(TIMEOUT)
    assert Job(lambda: 7).result(TIMEOUT) == 7
