"""Compiles a C++ program that links libtorch and no Python."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import torch
from torch.utils import cpp_extension


def build(source: Path, program: Path) -> None:
    """Compile with the system's compiler, or ``CXX``, against the torch that is installed here.

    Raises:
        subprocess.CalledProcessError: if the compiler fails; it has said why.
    """
    compiler = os.environ.get("CXX", "c++").split()
    options = ["-std=c++20", "-O2", "-pthread"]
    options.append(f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}")
    options += [f"-isystem{path}" for path in cpp_extension.include_paths()]
    folders = cpp_extension.library_paths()
    libraries = [flag for path in folders for flag in (f"-L{path}", f"-Wl,-rpath,{path}")]
    libraries += ["-ltorch", "-ltorch_cpu", "-lc10"]
    subprocess.run([*compiler, *options, source, "-o", program, *libraries], check=True)
