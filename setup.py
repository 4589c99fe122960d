# Builds the op library: C++ on the LibTorch stable ABI, with no Python symbol in it, so that one
# file serves every Python 3.10+ and every torch 2.10+, and a C++ program can load it too. Beside it
# the module _fast, on Python's limited API, which knows nothing of torch.
from __future__ import annotations

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
    from torch.utils.cpp_extension import BuildExtension, include_paths, library_paths
except ImportError as error:
    sys.exit(
        f"caffe2op_atomics needs setuptools>=77 and torch>=2.10 to build ({error}); "
        "install both, then: pip install --no-build-isolation ."
    )

ROOT = Path(__file__).parent
LIBRARY = "caffe2op_atomics.libatomics"
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))  # abi3 is not for those
FLAGS = ["-std=c++20", "-O3", "-g0", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"]
FLAGS += [f"-ffile-prefix-map={ROOT}/="]  # errors name no folder of the machine that built it


def files(pattern: str, *, python: bool) -> list[str]:
    """Return the files of csrc/python that match, or all others."""
    found = (path.relative_to(ROOT) for path in ROOT.glob(pattern))
    return sorted(str(path) for path in found if (path.parent.name == "python") == python)


class BuildLibrary(BuildExtension):
    """Builds the op library with no module init function and no Python version in its name."""

    def get_ext_filename(self, fullname: str) -> str:
        if fullname != LIBRARY and fullname != LIBRARY.split(".")[-1]:
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


library = Extension(
    LIBRARY,
    sources=files("csrc/**/*.cpp", python=False),
    depends=files("csrc/**/*.h", python=False),
    library_dirs=library_paths(),
    libraries=["c10", "torch_cpu", "dl"],
    extra_compile_args={
        "cxx": [
            *FLAGS,
            # Without these, square roots and conditions keep loops scalar; neither changes a value.
            "-fno-math-errno",
            "-fno-trapping-math",
            # The same sums on every machine, whether it has a fused multiply-add or not.
            "-ffp-contract=off",
            # System headers: torch's own warnings are not ours to mend.
            *(f"-isystem{path}" for path in include_paths()),
            "-DTORCH_TARGET_VERSION=0x020a000000000000",  # the stable ABI of torch 2.10
        ]
    },
    extra_link_args=["-Wl,-z,defs"],
)

fast = Extension(
    "caffe2op_atomics._fast",
    sources=files("csrc/**/*.cpp", python=True),
    depends=[*files("csrc/**/*.h", python=True), "csrc/fast_table.h"],
    libraries=["dl"],
    extra_compile_args={"cxx": FLAGS},
    py_limited_api=not FREE_THREADED,
    optional=True,  # without Python's headers everything works, only slower
)

setup(
    ext_modules=[library, fast],
    cmdclass={"build_ext": BuildLibrary, "bdist_wheel": Wheel},
)
