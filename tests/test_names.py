"""What a crashed job left by name is listed, warned of and removed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from named_files import ended, in_fork, path_of

import caffe2op_atomics
from caffe2op_atomics import (
    AtomicBool,
    Counter,
    LeftoverWarning,
    Mutex,
    _processes,
    list_names,
    unlink_name,
)

KINDS = [Counter, AtomicBool, Mutex]


def left_by_a_dead_process(make) -> int:
    def make_and_die() -> None:
        kept = make()
        os.kill(os.getpid(), signal.SIGKILL)
        del kept

    pid = in_fork(make_and_die)
    assert ended(pid) == -signal.SIGKILL
    return pid


def infos(name: str):
    return {info.name.removeprefix(name): info for info in list_names() if name in info.name}


def test_list_tells_kind_value_and_users(name):
    counter, flag = Counter(-5, name=name + ".c"), AtomicBool(name=name + ".f")
    mutex, free = Mutex(name=name + ".m"), Mutex(name=name + ".n")
    flag.set()
    with mutex:
        found = infos(name)
        owner = mutex.owner()
    assert {end: (info.kind, info.value) for end, info in found.items()} == {
        ".c": ("Counter", -5),
        ".f": ("AtomicBool", True),
        ".m": ("Mutex", f"held by thread {owner}"),
        ".n": ("Mutex", "unlocked"),
    }
    for info in found.values():
        assert (info.users, info.creator, info.creator_alive) == ([os.getpid()], os.getpid(), True)
        assert 0 <= info.age < 100
    assert all(each.unlink() for each in (counter, flag, mutex, free))
    assert infos(name) == {}


def test_list_tells_what_the_dead_left(name):
    def make():
        kept = Counter(17, name=name + ".c"), Mutex(name=name + ".m")
        kept[1].acquire()
        return kept

    pid = left_by_a_dead_process(make)
    found = infos(name)
    assert (found[".c"].value, found[".m"].value) == (17, "its holder died")
    for info in found.values():
        assert (info.users, info.creator, info.creator_alive) == ([], pid, False)


def test_list_shows_what_is_not_ours_as_such(name):
    path_of(name + ".a").write_text("x")
    path_of(name + ".b").symlink_to("/dev/null")
    found = infos(name)
    assert {end: info.kind for end, info in found.items()} == {
        ".a": "not of this package",
        ".b": "a symbolic link",
    }


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "caffe2op_atomics", *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_command_line_lists_and_unlinks(name):
    pid = left_by_a_dead_process(lambda: Counter(17, name=name))
    table = command("--list").stdout
    row = rf"^{name} +Counter +17 +nobody seen +{pid} \(gone\) +\d+ s$"
    assert re.search(row, table, re.MULTILINE)
    assert command("--unlink", name).returncode == 0
    assert not path_of(name).exists()
    again = command("--unlink", name)
    assert (again.returncode, again.stderr) == (1, f"unlink_name: there is no name '{name}'\n")
    assert command("--unlink", "a/b").stderr.startswith("unlink_name: name must have 1 to 200")


def test_unlink_name_removes_any_kind_and_leaves_the_attached_alone(name):
    for kind in KINDS:
        shared = kind(name=name)
        assert unlink_name(name)
        assert not unlink_name(name)
        assert not shared.unlink()
        repr(shared)


def test_unlink_name_removes_what_another_version_made(name):
    Counter(name=name)
    with path_of(name).open("r+b") as file:
        file.seek(8)
        file.write(b"\7\7\7\7")
    assert infos(name)[""].kind == "kind 7"
    assert unlink_name(name)


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda path: path.write_text("x"), "be a file of caffe2op_atomics, got other bytes"),
        (os.mkfifo, "be a regular file, got a fifo"),
    ],
)
def test_unlink_name_refuses_what_is_not_ours(name, make, rule):
    make(path_of(name))
    text = f"unlink_name: name '{name}' must {rule} (see {path_of(name)})"
    with pytest.raises(RuntimeError, match=f"^{re.escape(text)}$"):
        unlink_name(name)
    assert path_of(name).exists()


def test_attaching_to_a_leftover_warns_and_keeps_the_value(name):
    pid = left_by_a_dead_process(lambda: Counter(17, name=name))
    text = (
        f"Counter: attached to '{name}', made by pid {pid}, now gone, and used by no process seen "
        "here; it keeps its value, 17. To start afresh, unlink() it or give each run a name of its "
        "own; to go on with it, ignore LeftoverWarning"
    )
    with pytest.warns(LeftoverWarning, match=f"^{re.escape(text)}$") as caught:
        counter = Counter(name=name)
    assert caught[0].filename == __file__
    assert counter.value == 17
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Counter(name=name)  # in use now


def test_warning_as_an_error_attaches_nothing(name):
    left_by_a_dead_process(lambda: Counter(17, name=name))
    with warnings.catch_warnings():
        warnings.simplefilter("error", caffe2op_atomics.LeftoverWarning)
        with pytest.raises(LeftoverWarning):
            Counter(name=name)
    assert infos(name)[""].users == []


def test_what_is_in_use_or_new_does_not_warn(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        counter = Counter(name=name)
        del counter
        Counter(name=name)  # not in use, but its creator lives


def test_creator_of_another_container_is_said_to_be_so(name, monkeypatch):
    left_by_a_dead_process(lambda: AtomicBool(name=name))
    monkeypatch.setattr(_processes, "_pid_namespace", lambda: 1)
    assert infos(name)[""].creator_alive is None
    with pytest.warns(LeftoverWarning, match="of another container, and used by no process seen"):
        AtomicBool(name=name)


def test_pid_that_is_used_again_is_another_process(name):
    pid, start, namespace = _processes.myself()
    assert _processes.is_alive(pid, start, namespace)
    assert _processes.is_alive(pid, 0, namespace)
    assert not _processes.is_alive(pid, start + 1, namespace)
    assert _processes.is_alive(pid, start, namespace + 1) is None


def test_zombie_is_gone():
    pid = in_fork(lambda: None)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert Path(f"/proc/{pid}").exists()
    assert not _processes.is_alive(pid, 0, _processes.myself()[2])
    assert ended(pid) == 0
