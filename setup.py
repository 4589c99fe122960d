# Builds the op library: C++ on the LibTorch stable ABI, with no Python symbol in it, so that one
# file serves every Python 3.10+ and every torch 2.10+, and a C++ program can load it too. Beside it
# the module _fast, on Python's limited API, which knows nothing of torch.
#
# CAFFE2OP_ATOMICS_CUDA=1 also builds the kernels for NVIDIA GPUs, a library of their own that is
# loaded where torch has CUDA; 0 does not; auto, the default, does if torch and CUDA_HOME allow it,
# with CUDA 13, which it is developed with.
from __future__ import annotations

import os
import platform
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup

MACHINES = ("x86_64", "aarch64")
if sys.platform != "linux" or platform.machine() not in MACHINES:
    sys.exit(
        "caffe2op_atomics builds on Linux x86-64 and aarch64 only, "
        f"got {sys.platform} {platform.machine()}."
    )

try:
    from setuptools.command.bdist_wheel import bdist_wheel
    from setuptools.errors import CompileError
    from torch.utils.cpp_extension import CUDA_HOME, BuildExtension, include_paths, library_paths
    from torch.version import cuda as cuda_of_torch
except ImportError as error:
    sys.exit(
        f"caffe2op_atomics needs setuptools>=77 and torch>=2.10 to build ({error}); "
        "install both, then: pip install --no-build-isolation ."
    )

ROOT = Path(__file__).parent
LIBRARY = "caffe2op_atomics.libatomics"
CUDA_LIBRARY = "caffe2op_atomics.libatomics_cuda"
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))  # abi3 is not for those
FLAGS = ["-std=c++20", "-O3", "-g0", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"]
FLAGS += [f"-ffile-prefix-map={ROOT}/="]  # errors name no folder of the machine that built it


def files(*patterns: str) -> list[str]:
    """Return the files of csrc that match."""
    found = (path for pattern in patterns for path in ROOT.glob(f"csrc/{pattern}"))
    return sorted(str(path.relative_to(ROOT)) for path in found)


class BuildLibrary(BuildExtension):
    """Builds the op library with no module init function and no Python version in its name."""

    def get_ext_filename(self, fullname: str) -> str:
        if fullname.split(".")[-1] not in (LIBRARY.split(".")[-1], CUDA_LIBRARY.split(".")[-1]):
            return super().get_ext_filename(fullname)
        return str(Path(*fullname.split("."))) + ".so"

    def get_export_symbols(self, ext: Extension) -> list[str]:
        return []

    def build_extension(self, ext: Extension) -> None:
        try:
            super().build_extension(ext)
        except RuntimeError as error:  # of torch, which setuptools does not know as a failure
            raise CompileError(str(error)) from error


class Wheel(bdist_wheel):
    """Tags the wheel for this platform, and for every Python 3.10+ where there is a stable ABI."""

    def get_tag(self) -> tuple[str, str, str]:
        tag = super().get_tag()
        return tag if FREE_THREADED else ("cp310", "abi3", tag[2])


# Of CUDA; newer devices get the last one's PTX.
CUDA_VERSION = tuple(map(int, (cuda_of_torch or "0.0").split(".")[:2]))
ARCHITECTURES = ["80", "90", *(["100"] if CUDA_VERSION >= (12, 8) else [])]


def wants_cuda() -> bool:
    """Return what CAFFE2OP_ATOMICS_CUDA asks for."""
    choice = os.environ.get("CAFFE2OP_ATOMICS_CUDA", "auto")
    if choice not in ("0", "1", "auto"):
        sys.exit(f"CAFFE2OP_ATOMICS_CUDA must be 0, 1 or auto, got {choice!r}.")
    missing = [
        what
        for what, there in (
            ("a CUDA toolkit (set CUDA_HOME)", CUDA_HOME),
            ("a torch that was built for CUDA", cuda_of_torch),
        )
        if not there
    ]
    if choice == "1" and missing:
        sys.exit(f"CAFFE2OP_ATOMICS_CUDA=1 needs {' and '.join(missing)}.")
    return choice == "1" or (choice == "auto" and not missing and CUDA_VERSION >= (13, 0))


# System headers: torch's own warnings are not ours to mend.
HEADERS = include_paths()
TARGET = "-DTORCH_TARGET_VERSION=0x020a000000000000"  # the stable ABI of torch 2.10

CXX = [
    *FLAGS,
    *(f"-isystem{path}" for path in HEADERS),
    TARGET,
    # Without these, square roots and conditions keep loops scalar; neither changes a value.
    "-fno-math-errno",
    "-fno-trapping-math",
    # The same sums on every machine, whether it has a fused multiply-add or not.
    "-ffp-contract=off",
]

library = Extension(
    LIBRARY,
    sources=files("*.cpp", "cpu/**/*.cpp", "meta/*.cpp"),
    depends=files("*.h", "ops/*.h", "cpu/**/*.h", "meta/*.h"),
    library_dirs=library_paths(),
    libraries=["c10", "torch_cpu", "dl"],
    extra_compile_args={"cxx": CXX},
    extra_link_args=["-Wl,-z,defs"],
)

# The rules on arguments are in both libraries: neither looks for symbols in the other.
cuda_library = Extension(
    CUDA_LIBRARY,
    sources=[
        *(file for file in files("*.cpp") if Path(file).name != "schema.cpp"),
        *files("cuda/*.cpp", "cuda/*.cu"),
    ],
    depends=files("*.h", "ops/*.h", "cuda/*.h", "cuda/*.cuh"),
    library_dirs=library_paths("cuda") if cuda_of_torch else [],
    libraries=["c10", "torch_cpu", "torch_cuda", "cudart"],
    extra_compile_args={
        "cxx": CXX,
        "nvcc": [
            *("-std=c++20", "-O3", "--expt-relaxed-constexpr", "-Werror=all-warnings"),
            "-Xcompiler=-fPIC,-fvisibility=hidden,-Wall,-Wextra,-Werror",
            "--fmad=false",  # as -ffp-contract=off
            *(f"-gencode=arch=compute_{arch},code=sm_{arch}" for arch in ARCHITECTURES),
            "-gencode=arch=compute_{0},code=compute_{0}".format(ARCHITECTURES[-1]),
            *(f"-isystem={path}" for path in HEADERS),
            TARGET,
            "-DUSE_CUDA",
        ],
    },
    extra_link_args=["-Wl,-z,defs"],
)

fast = Extension(
    "caffe2op_atomics._fast",
    sources=files("python/*.cpp"),
    depends=files("python/*.h", "fast_table.h"),
    libraries=["dl"],
    extra_compile_args={"cxx": FLAGS},
    py_limited_api=not FREE_THREADED,
    optional=True,  # without Python's headers everything works, only slower
)

setup(
    ext_modules=[library, *([cuda_library] if wants_cuda() else []), fast],
    cmdclass={"build_ext": BuildLibrary, "bdist_wheel": Wheel},
)
