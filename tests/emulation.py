"""The kernels for GPUs on the CPU, as ``cuda_on_cpu/`` has them run.

A launch calls the kernel for one thread after the other, and the lanes of a warp meet where its
instructions have them meet. What it cannot show: instructions that only a GPU has, real
concurrency, and the device's own rounding of float32.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import subprocess
import sysconfig
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from links import OPERATIONS
from op_table import Op
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

ROOT = Path(__file__).parent.parent
STAND_IN = ROOT / "tests" / "cuda_on_cpu"
GIVEN = "ATOMICS_EMULATION"  # a library in place of the one that is built here
OF_TORCH = Path(torch.__file__).parent
HEADERS = OF_TORCH / "include"
FLAGS = (
    *("-std=c++20", f"-I{STAND_IN}", "-isystem", HEADERS),
    *("-isystem", HEADERS / "torch" / "csrc" / "api" / "include"),
    "-DTORCH_TARGET_VERSION=0x020a000000000000",
)
SHARED = ("check.cpp", "fail.cpp", "overlap.cpp", "view.cpp", "schema.cpp")
KERNELS = (
    *(ROOT / "csrc" / name for name in SHARED),
    *(ROOT / "csrc" / "cuda").glob("*.cu"),
    *(ROOT / "csrc" / "cuda").glob("*.cpp"),
)

LIBRARY = f"libcuda_on_cpu{sysconfig.get_config_var('SHLIB_SUFFIX')}"

emulated = torch.ops.atomics_on_cpu


class Machine(ctypes.Structure):
    """As in machine.h of the stand-in."""

    _fields_ = [
        ("touched", ctypes.c_int64 * 2),
        ("on_peer", ctypes.c_void_p),
        ("peer_access", ctypes.c_int),
        ("peer_atomics", ctypes.c_int),
        ("peer_asked", ctypes.c_int),
        ("device", ctypes.c_int),
        ("memory", ctypes.c_int),
        ("attribute", ctypes.c_int),
        ("device_of_memory", ctypes.c_int),
        ("captures", ctypes.c_int),
        ("no_access", ctypes.c_int),
        ("old_driver", ctypes.c_int),
        ("capabilities", ctypes.c_uint * len(OPERATIONS)),
    ]


def build(compiler: Sequence[str | Path], sources: Iterable[Path], folder: Path) -> Path:
    """Return a library of what a command makes of these sources."""

    def compiled(source: Path) -> Path:
        made = folder / f"{source.name}.o"
        subprocess.run([*compiler, *FLAGS, "-c", source, "-o", made], check=True)
        return made

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compiled, sources))
    made = folder / LIBRARY
    libraries = [f"-L{OF_TORCH / 'lib'}", "-ltorch_cpu", "-lc10"]
    subprocess.run(["c++", "-shared", *objects, *libraries, "-o", made], check=True)
    return made


@pytest.fixture(scope="session")
def emulation(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The kernels, in a namespace of their own; compiled once for all of a run's processes."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cuda_on_cpu"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = Path(os.environ.get(GIVEN) or folder / LIBRARY)
        if not made.exists():
            toolkit = STAND_IN / "toolkit"
            compiler = ["c++", "-x", "c++", "-O1", "-fPIC", "-fvisibility=hidden", "-w"]
            build([*compiler, f"-I{toolkit}"], [*KERNELS, toolkit / "emulate.cpp"], folder)
    torch.ops.load_library(made)
    return ctypes.CDLL(str(made))


@pytest.fixture
def machine(emulation: ctypes.CDLL) -> Machine:
    """What the stand-in says of the machine, and what a test may say to it."""
    return Machine.in_dll(emulation, "machine")


def on_cpu(op: Op) -> Any:
    packet, _, overload = op.name.partition(".")
    return getattr(getattr(emulated, packet), overload or "default")


def copied(arguments: Any) -> Any:
    return tree_map_only(Tensor, Tensor.clone, arguments)


def same(a: Any, b: Any) -> bool:
    """Whether they are the same, NaNs and the signs of zeros, too."""
    pairs = zip(tree_leaves(a), tree_leaves(b), strict=True)
    return all(
        (x.dtype, x.shape, x.tolist().__repr__()) == (y.dtype, y.shape, y.tolist().__repr__())
        if isinstance(x, Tensor)
        else x == y
        for x, y in pairs
    )


def compare(op: Op, arguments: tuple[Any, ...], **keywords: Any) -> None:
    theirs = copied(arguments)
    expected = op.overload(*arguments, **keywords)
    assert same(on_cpu(op)(*theirs, **keywords), expected)
    assert same(theirs, arguments)


def with_dtypes(ops: list[Op]) -> Any:
    return pytest.mark.parametrize(
        ("op", "dtype"),
        [(op, dtype) for op in ops for dtype in op.dtypes],
        ids=lambda each: each.name if isinstance(each, Op) else str(each),
    )
