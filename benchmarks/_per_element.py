"""Compiles per_element.cpp and gives its loops as functions."""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("per_element.cpp")


@dataclass(frozen=True)
class Loops:
    """The loops of per_element.cpp; tensors are passed as their data_ptr().

    ctypes releases the GIL around them, as torch does around an op.
    """

    add_float32: Callable[[int, int, int, float], None]
    add_bfloat16: Callable[[int, int, int, float], None]
    fetch_add_int32: Callable[[int, int, int, int], None]


def build() -> Loops:
    """Compile the loops with the system's compiler, or ``CXX``, and load them.

    Raises:
        subprocess.CalledProcessError: if the compiler fails; it has said why.
    """
    with tempfile.TemporaryDirectory() as folder:
        library_path = Path(folder) / "per_element.so"
        compiler = os.environ.get("CXX", "c++").split()
        options = ["-O3", "-std=c++20", "-Wall", "-Wextra", "-shared", "-fPIC"]
        subprocess.run([*compiler, *options, "-o", library_path, SOURCE], check=True)
        library = ctypes.CDLL(str(library_path))  # stays mapped when the file is gone
    pointer, size = ctypes.c_void_p, ctypes.c_int64
    for loop in (library.add_float32, library.add_bfloat16):
        loop.argtypes, loop.restype = [pointer, pointer, size, ctypes.c_double], None
    fetch = library.fetch_add_int32
    fetch.argtypes, fetch.restype = [pointer, pointer, pointer, size], None
    return Loops(library.add_float32, library.add_bfloat16, fetch)
