"""The layout of the tree holds: include rules, and one name for an op everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import op_table
import pytest

from caffe2op_atomics import _library, caffe2, ops

ROOT = Path(__file__).parent.parent
SUFFIXES = (".h", ".cpp", ".cuh", ".cu")
SOURCES = sorted(path for path in (ROOT / "csrc").rglob("*") if path.suffix in SUFFIXES)
TORCH_FREE = [
    *(path for path in SOURCES if path.parent.name in ("ops", "mutex", "python")),
    *(
        ROOT / "csrc" / name
        for name in (
            "cas_loop.h",
            "fail.h",
            "fail.cpp",
            "counter_line.h",
            "fast_table.h",
            "ref.h",
            "scale.h",
            "shared_file.h",
            "sleepers.h",
            "strided.h",
            "writable.h",
        )
    ),
    *(
        ROOT / "csrc" / "cpu" / name
        for name in (
            "ref.h",
            "group.h",
            "group.cpp",
            "deadline.h",
            "futex.h",
            "handle_slot.h",
            "fast_table.cpp",
            "vectorised.h",
            "wait_loop.h",
            "writable.cpp",
        )
    ),
]


def includes(path: Path) -> list[str]:
    return re.findall(r'#include [<"]([^>"]+)[>"]', path.read_text())


def schema_names() -> list[str]:
    return re.findall(r'm\.def\(\s*"([\w.]+)\(', (ROOT / "csrc" / "schema.cpp").read_text())


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_stable_abi_is_included(path):
    for include in includes(path):
        if include.startswith(("torch/", "ATen/", "c10/")):
            stable = ("torch/csrc/stable/", "torch/headeronly/")
            # The C shim, of which the stable ABI's headers say what is stable.
            shim = "torch/csrc/inductor/aoti_torch/c/shim.h"
            assert include.startswith(stable) or (include == shim and path.suffix == ".cuh")


@pytest.mark.parametrize("path", TORCH_FREE, ids=lambda path: str(path.relative_to(ROOT)))
def test_meaning_and_locking_know_nothing_of_torch(path):
    for include in includes(path):
        assert not include.startswith("torch/")
        assert (
            (path.parent / include).resolve() in TORCH_FREE
            or "/" not in include
            or include.startswith(("sys/", "linux/"))
        )


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_backends_do_not_include_each_other(path):
    backends = {"cpu", "cuda", "meta"} & set(path.relative_to(ROOT).parts)
    for include in includes(path):
        target = (path.parent / include).resolve()
        if target.is_relative_to(ROOT):
            reached = {"cpu", "cuda", "meta"} & set(target.relative_to(ROOT).parts)
            assert reached <= backends


def test_schema_registered_ops_and_test_table_name_the_same():
    names = sorted(schema_names())
    assert len(set(names)) == len(names)
    assert names == _library.op_names()
    assert names == sorted(op.name for op in op_table.ALL)


def test_every_op_has_a_public_function_or_belongs_to_a_class():
    packets = {name.split(".")[0] for name in schema_names()}
    of_mutex = {"mutex_init_", "mutex_lock", "mutex_try_lock", "mutex_unlock"}
    of_mutex |= {"mutex_consistent", "mutex_owner", "mutex_recoveries"}
    assert set(ops.__all__) | set(caffe2.__all__) | of_mutex == packets


def test_python_is_reached_from_its_layer_only_and_it_reaches_few_headers():
    for path in SOURCES:
        if path.parent.name == "python":
            reached = {name for name in includes(path) if "/" in name}
            assert reached <= {"../fast_table.h", "../counter_line.h", "../sleepers.h"}
        else:
            assert "Python.h" not in includes(path)
