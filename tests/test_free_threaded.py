"""The fast path in an interpreter without a GIL, which may be another one than runs the tests.

It is this one, or FREE_THREADED_PYTHON, or python3.14t or python3.13t if there is one, with its
headers. It needs no torch: the op library is loaded beside torch's libraries of this interpreter.
"""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import setuptools
from support import TIMEOUT
from torch.utils import cpp_extension

from caffe2op_atomics import AtomicBool, Counter, Mutex, library_path
from caffe2op_atomics._shared_file import path_of

ROOT = Path(__file__).parent.parent
IS_FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def run(*command: str | Path) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=TIMEOUT)
    return done.stdout


@pytest.fixture(scope="module")
def interpreter() -> str:
    names = ("python3.14t", "python3.13t")
    found = sys.executable if IS_FREE_THREADED else os.environ.get("FREE_THREADED_PYTHON")
    found = found or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("no free-threaded interpreter: this one has a GIL, and no other was found")
    return found


@pytest.fixture(scope="module")
def module(interpreter: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fast path, built for that interpreter."""
    built = tmp_path_factory.mktemp("free_threaded") / "_fast.so"
    ask = "import sysconfig; print(sysconfig.get_path('include'))"
    headers = run(interpreter, "-c", ask).strip()
    sources = sorted((ROOT / "csrc" / "python").glob("*.cpp"))
    flags = ["-std=c++20", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra"]
    run("c++", *flags, "-Werror", f"-I{headers}", *sources, "-ldl", "-o", built)
    return built


def test_threads_without_a_gil_share_exactly_with_a_process_that_has_one(interpreter, module, name):
    counter = Counter(name=f"{name}.counter")
    flag = AtomicBool(name=f"{name}.flag")
    mutex = Mutex(name=f"{name}.mutex")
    files = [path_of(shared._kind.name, shared.name) for shared in (counter, flag, mutex)]
    torch_library = Path(cpp_extension.library_paths()[0]) / "libtorch_cpu.so"
    program = Path(__file__).with_name("free_threaded.py")
    counted = run(interpreter, program, module, library_path(), torch_library, *files)
    assert counter.value == int(counted)
    assert flag.is_set()
    assert not mutex.locked()


@pytest.mark.skipif(not IS_FREE_THREADED, reason="this interpreter has a GIL")
def test_package_leaves_the_gil_off_where_torch_does():
    script = """
import sys, torch
print(sys._is_gil_enabled())
import caffe2op_atomics._fast
print(sys._is_gil_enabled())
"""
    before, after = run("env", "-u", "PYTHON_GIL", sys.executable, "-c", script).split()
    assert before == after


@pytest.mark.skipif(IS_FREE_THREADED, reason="the fast path here was built without a GIL")
def test_module_for_a_gil_is_refused_with_the_error_that_chooses_the_slow_path(interpreter):
    module = Path(library_path()).with_name("_fast.abi3.so")
    script = f"""
import importlib.util
spec = importlib.util.spec_from_file_location("_fast", {str(module)!r})
try:
    importlib.util.module_from_spec(spec)
except (ImportError, SystemError):
    print("refused")
"""
    assert run(interpreter, "-c", script) == "refused\n"


@pytest.mark.parametrize("free_threaded", [False, True])
def test_only_a_build_for_a_gil_uses_the_limited_api(monkeypatch, free_threaded):
    known = {**sysconfig.get_config_vars(), "Py_GIL_DISABLED": int(free_threaded)}
    monkeypatch.setattr(sysconfig, "get_config_var", known.get)
    monkeypatch.setattr(setuptools, "setup", lambda **given: built.update(given))
    built: dict[str, list[setuptools.Extension]] = {}
    runpy.run_path(str(ROOT / "setup.py"))
    limited = {each.name: each.py_limited_api for each in built["ext_modules"]}
    assert limited["caffe2op_atomics._fast"] is not free_threaded
