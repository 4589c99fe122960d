"""What the binaries need: of torch the stable C functions, of Python its limited API or nothing."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

import pytest
import torch

from caffe2op_atomics import library_path

FOLDER = Path(library_path()).parent
LIBRARY = Path(library_path())
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
(FAST,) = FOLDER.glob("_fast.*.so" if FREE_THREADED else "_fast.abi3.so")
WHEEL = metadata.distribution("caffe2op_atomics").read_text("WHEEL") or ""
SHIMS = ("torch/csrc/stable/c/shim.h", "torch/csrc/inductor/aoti_torch/c/shim.h")
OF_STD = re.compile(r"_ZN?[KVRO]*S|_ZT[ISTV]N?S")  # mangled names of C++ start like this


def readelf(path: Path, what: str) -> str:
    return subprocess.run(
        ["readelf", "--wide", what, path], capture_output=True, text=True, check=True
    ).stdout


def undefined(path: Path) -> dict[str, str | None]:
    """Return what the file takes from others, and the versions that it asks for."""
    found = re.findall(r" UND (\w+)(?:@(\S+))?", readelf(path, "--dyn-syms"))
    return {name: version or None for name, version in found}


def test_of_torch_the_library_needs_stable_functions_only():
    headers = Path(torch.__file__).parent / "include"
    declared = {
        name
        for shim in SHIMS
        for name in re.findall(r"\b(?:aoti_)?torch_\w+", (headers / shim).read_text())
    }
    needed = {name for name, version in undefined(LIBRARY).items() if version is None}
    of_linker = {"__gmon_start__", "_ITM_deregisterTMCloneTable", "_ITM_registerTMCloneTable"}
    # A torch wheel exports what it has of a newer libstdc++, too.
    others = {name for name in needed if not OF_STD.match(name)} - of_linker
    assert "aoti_torch_library_def" in others
    assert others <= declared


def test_library_needs_no_python():
    assert not any(name.startswith(("Py", "_Py")) for name in undefined(LIBRARY))
    needed = readelf(LIBRARY, "--dynamic")
    assert "libtorch_cpu.so" in needed
    assert not re.search("libtorch_python|libpython", needed)


def test_fast_path_needs_neither_torch_nor_a_version_of_python():
    assert not re.search("libtorch|libc10|libpython|libatomics", readelf(FAST, "--dynamic"))
    assert not any("torch" in name for name in undefined(FAST))


@pytest.mark.skipif(FREE_THREADED, reason="abi3 is for interpreters with a GIL")
def test_fast_path_uses_the_limited_api_of_python_3_10():
    pytest.importorskip("abi3audit")
    command = [sys.executable, "-m", "abi3audit", "--strict", "--assume-minimum-abi3", "3.10", FAST]
    subprocess.run(command, check=True, timeout=100)


@pytest.mark.skipif("manylinux" not in WHEEL, reason="built for this machine")
@pytest.mark.parametrize("path", [LIBRARY, FAST], ids=lambda path: path.name)
def test_the_wheel_takes_from_the_system_what_it_says(path):
    needed = undefined(path)
    for name, version in needed.items():
        if version is None:  # of torch or Python
            assert not OF_STD.match(name)
        elif version.startswith("GLIBC_"):
            assert tuple(map(int, version.removeprefix("GLIBC_").split("."))) <= (2, 28)
    assert needed["memmove"].startswith("GLIBC_")  # and not of zig's runtime
