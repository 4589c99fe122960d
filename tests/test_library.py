"""Finding and loading the op library: from Python, from the command line, from C++."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import caffe2op_atomics

sys.path.insert(0, str(Path(__file__).parent.parent / "examples" / "serving_cpp"))
from _build import build

ROOT = Path(__file__).parent.parent


def run(*command: str | Path) -> str:
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=True, timeout=100
    ).stdout


def test_command_line_prints_the_path():
    printed = run(sys.executable, "-m", "caffe2op_atomics", "--library").strip()
    assert printed == caffe2op_atomics.library_path()
    assert Path(printed).is_file()


def test_command_line_prints_the_version():
    printed = run(sys.executable, "-m", "caffe2op_atomics", "--version").strip()
    assert printed == caffe2op_atomics.__version__


@pytest.mark.parametrize(
    ("content", "cause"),
    [(None, "the package was not built"), (b"not a library", "another kind of machine")],
)
def test_import_error_lists_causes_and_versions(tmp_path, content, cause):
    package = tmp_path / "caffe2op_atomics"
    shutil.copytree(
        Path(caffe2op_atomics.__file__).parent, package, ignore=shutil.ignore_patterns("*.so")
    )
    if content is not None:
        (package / "libatomics.so").write_bytes(content)
    result = subprocess.run(
        [sys.executable, "-c", "import caffe2op_atomics"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "ImportError: caffe2op_atomics cannot load its op library" in result.stderr
    assert cause in result.stderr
    assert f"2. torch is older than 2.10: this is {torch.__version__}" in result.stderr
    assert f"Versions: torch {torch.__version__}, Python" in result.stderr


def test_cpp_program_loads_the_library(tmp_path):
    program = tmp_path / "host"
    build(Path(__file__).parent / "host.cpp", program)
    assert run(program, caffe2op_atomics.library_path()) == "0 5 12\n"


@pytest.mark.parametrize(("system", "machine"), [("darwin", "arm64"), ("linux", "riscv64")])
def test_install_elsewhere_stops_with_one_sentence(system, machine):
    script = (
        "import platform, setuptools, sys; "
        f"sys.platform = {system!r}; platform.machine = lambda: {machine!r}; "
        f"exec(open({str(ROOT / 'setup.py')!r}).read())"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=100, check=False
    )
    assert result.returncode == 1
    assert result.stderr == (
        f"caffe2op_atomics builds on Linux x86-64 and aarch64 only, got {system} {machine}.\n"
    )
