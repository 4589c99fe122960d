# Builds the op library: C++ on the LibTorch stable ABI, with no Python symbol in it, so that one
# file serves every Python 3.10+ and every torch 2.10+, and a C++ program can load it too.
from __future__ import annotations

import platform
import sys
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
    from torch.utils.cpp_extension import BuildExtension, include_paths, library_paths
except ImportError as error:
    sys.exit(
        f"caffe2op_atomics needs setuptools>=77 and torch>=2.10 to build ({error}); "
        "install both, then: pip install --no-build-isolation ."
    )

ROOT = Path(__file__).parent


class BuildLibrary(BuildExtension):
    """Builds a plain shared library: no module init function, no Python version in its name."""

    def get_ext_filename(self, fullname: str) -> str:
        return str(Path(*fullname.split("."))) + ".so"

    def get_export_symbols(self, ext: Extension) -> list[str]:
        return []


class UniversalWheel(bdist_wheel):
    """Tags the wheel for this platform but for every Python 3."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.root_is_pure = False

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


library = Extension(
    "caffe2op_atomics.libatomics",
    sources=sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("csrc/**/*.cpp")),
    depends=sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("csrc/**/*.h")),
    library_dirs=library_paths(),
    libraries=["c10", "torch_cpu", "dl"],
    extra_compile_args={
        "cxx": [
            "-std=c++20",
            "-O3",
            "-g0",
            "-fno-math-errno",  # or sqrtf keeps loops scalar
            "-fvisibility=hidden",
            "-Wall",
            "-Wextra",
            "-Werror",
            # System headers: torch's own warnings are not ours to mend.
            *(f"-isystem{path}" for path in include_paths()),
            "-DTORCH_TARGET_VERSION=0x020a000000000000",  # the stable ABI of torch 2.10
        ]
    },
    extra_link_args=["-Wl,-z,defs"],
)

setup(
    ext_modules=[library],
    cmdclass={"build_ext": BuildLibrary, "bdist_wheel": UniversalWheel},
)
