"""The environment report: a line for everything, whatever the machine is like."""

from __future__ import annotations

import gc
import os
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from support import TIMEOUT

import caffe2op_atomics
from caffe2op_atomics import Counter, _report, _system

INFINITY = resource.RLIM_INFINITY


def lines_of(report: str) -> dict[str, str]:
    """Return what the report says, by label."""
    found = [line.strip().split("  ", 1) for line in report.splitlines() if line.startswith("  ")]
    return {line[0]: line[-1].strip() for line in found}


def test_report_has_every_line():
    lines = lines_of(_report.report())
    labels = [label for section in _report._SECTIONS.values() for label in section]
    assert [label for label in lines if not label.startswith("CAFFE2OP")] == labels
    assert not [line for line in lines.values() if not line or "cannot be told" in line]
    assert lines["caffe2op_atomics"] == caffe2op_atomics.__version__
    assert lines["torch"].startswith(torch.__version__)
    assert lines["op library"] == caffe2op_atomics.library_path()
    assert lines["robust mutexes"] == lines["futex"] == "yes"


def test_command_prints_the_report_alone_and_plain(tmp_path):
    root = str(Path(caffe2op_atomics.__file__).parent.parent)
    given = {"CAFFE2OP_ATOMICS_CHECK": "1", "PYTHONPATH": root}
    done = subprocess.run(
        [sys.executable, "-m", "caffe2op_atomics", "--no-self-test"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
        cwd=tmp_path,
        env={**os.environ, **given},
    )
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert "\n  CAFFE2OP_ATOMICS_CHECK=1\n" in done.stdout
    assert "self-test" not in done.stdout


def test_line_that_cannot_be_told_says_why(monkeypatch):
    def fail(*_: object) -> None:
        raise OSError(2, "No such file or directory")

    monkeypatch.setattr(os, "statvfs", fail)
    told = lines_of(_report.report())["/dev/shm"]
    assert told == "cannot be told: FileNotFoundError: [Errno 2] No such file or directory"


def test_named_objects_are_counted(name):
    before = int(lines_of(_report.report())["named objects"].split(",")[0])
    counter = Counter(name=name)
    assert int(lines_of(_report.report())["named objects"].split(",")[0]) == before + 1
    counter.unlink()


@pytest.mark.parametrize(
    ("blocks", "free", "told"),
    [
        (2**20, 2**19, "2.0 GiB of 4.0 GiB in use"),
        (2**20, 0, "4.0 GiB of 4.0 GiB in use: FULL, what is shared has to fit into it"),
        (2**14, 2**14, "0 bytes of 64.0 MiB in use: LITTLE, in a container see --shm-size"),
        (0, 0, "no limit"),
    ],
)
def test_shared_memory(blocks, free, told, monkeypatch):
    status = SimpleNamespace(f_blocks=blocks, f_bavail=free, f_frsize=4096)
    monkeypatch.setattr(os, "statvfs", lambda _: status)
    assert _system.shared_memory() == told


@pytest.mark.parametrize(
    ("soft", "hard", "told"),
    [
        (20_000, INFINITY, "of 20,000 in use (ulimit -n, at most any number)"),
        (INFINITY, INFINITY, "of any number in use (ulimit -n, at most any number)"),
        (
            64,
            4096,
            "of 64 in use (ulimit -n, at most 4,096): FEW, a shared tensor takes one under the "
            "strategy file_descriptor",
        ),
    ],
)
def test_descriptors(soft, hard, told, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    gc.collect()  # or what other tests left is closed between the two counts
    used, _, rest = _system.descriptors().partition(" ")
    assert rest == told
    assert int(used) == len(list(Path("/proc/self/fd").iterdir())) - 1


@pytest.fixture
def system(tmp_path, monkeypatch) -> Path:
    """Files as in /proc and in /sys/fs/cgroup."""
    monkeypatch.setattr(_system, "_PROC", tmp_path)
    monkeypatch.setattr(_system, "_CGROUPS", tmp_path / "cgroup")
    (tmp_path / "self").mkdir()
    write(tmp_path / "sys/vm/max_map_count", "65530\n")
    write(tmp_path / "self/status", "Name:\tpython\nThreads:\t7\nSigQ:\t0/96365\n")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (96_365, INFINITY))
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("count", "told"),
    [(400, "400 of 65,530 in use"), (60_000, "60,000 of 65,530 in use")],
)
def test_mappings(count, told, system):
    write(system / "self/maps", "7f0-7f1 rw-p 0 00:00 0\n" * count)
    almost = ": ALMOST ALL" if count == 60_000 else ""
    assert _system.mappings() == f"{told} (vm.max_map_count){almost}"


@pytest.mark.parametrize(
    ("groups", "file", "limit", "told"),
    [
        ("0::/\n", "pids.max", "4096", ", the container 4,096 (pids.max)"),
        ("0::/\n", "pids.max", "max", ""),
        ("0::/a/b\n", "a/b/pids.max", "5", ", the container 5 (pids.max)"),
        ("0::/hidden\n", "pids.max", "6", ", the container 6 (pids.max)"),
        ("0::/\n", "other", "7", ""),
        ("9:cpu:/\n8:pids:/x\n0::/\n", "pids/x/pids.max", "8", ", the container 8 (pids.max)"),
    ],
)
def test_threads(groups, file, limit, told, system):
    write(system / "self/cgroup", groups)
    write(system / "cgroup" / file, limit + "\n")
    of_torch = torch.get_num_threads()
    expected = f"7 here, {of_torch} for a large op of torch; the user may have 96,365 (ulimit -u)"
    assert _system.threads() == expected + told


@pytest.mark.parametrize(
    ("groups", "file", "limit", "told"),
    [
        ("0::/\n", "memory.max", str(3 * 2**30), ", the container 3.0 GiB (cgroup)"),
        ("4:memory:/\n", "memory/memory.limit_in_bytes", "9223372036854771712", ""),
    ],
)
def test_memory(groups, file, limit, told, system):
    write(system / "self/cgroup", groups)
    write(system / "cgroup" / file, limit)
    assert _system.memory().partition(" GiB")[2] == told


def test_container_is_told_by_its_environment(monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == "/.dockerenv")
    assert _system.container({}) == "/.dockerenv"
    given = {"container": "podman", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    assert _system.container(given) == "/.dockerenv, container=podman, Kubernetes"
    monkeypatch.setattr(Path, "exists", lambda path: False)
    assert _system.container({}) == "no hint of one"
