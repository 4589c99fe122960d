"""Finds and loads the op library, in this one place; adds what only Python can register."""

from __future__ import annotations

import ctypes
import platform
import warnings
from pathlib import Path

import torch

NAMESPACE = "atomics"
_PATH = Path(__file__).with_name("libatomics.so")
_CUDA_PATH = Path(__file__).with_name("libatomics_cuda.so")

# Why the library for GPUs is not in use; None if it is.
why_no_cuda: str | None = None

# That library, if it is: for what is no op.
cuda_library: ctypes.PyDLL | None = None

# Keeps the registrations below alive.
_registrations = torch.library.Library(NAMESPACE, "IMPL")


def library_path() -> str:
    """Return the path of the op library, for ``dlopen`` in a C++ program.

    The library holds no Python symbol: a C++ program that links libtorch can load it. A Python
    program imports the package instead, which also keeps the ops out of compiled graphs.
    """
    return str(_PATH)


def op_names() -> list[str]:
    """Return every registered op with its overload: ``["add_", "add_.float", ...]``."""
    prefix = NAMESPACE + "::"
    names = torch._C._dispatch_get_all_op_names()
    return sorted(name.removeprefix(prefix) for name in names if name.startswith(prefix))


def load() -> None:
    """Load the op library and make its ops neutral to autograd.

    Raises:
        ImportError: if the library cannot be loaded; the message lists likely causes.
    """
    try:
        torch.ops.load_library(library_path())
    except OSError as error:
        raise ImportError(_explanation(error)) from error
    global why_no_cuda
    why_no_cuda = _load_cuda()
    # The stable ABI cannot register a fallthrough. Without one, autograd would mark what an op
    # returns as differentiable whenever a parameter goes in.
    for name in op_names():
        for key in ("Autograd", "ADInplaceOrView"):
            _registrations.impl(name, torch.library.fallthrough_kernel, key)


def _load_cuda() -> str | None:
    """Load the library for GPUs if that can be, and return why not."""
    if not _CUDA_PATH.exists():
        return "it was not built"
    if torch.version.cuda is None:
        return "this torch is one without CUDA"
    global cuda_library
    try:
        torch.ops.load_library(str(_CUDA_PATH))
        cuda_library = ctypes.PyDLL(str(_CUDA_PATH))
    except OSError as error:  # built for another CUDA, most of all
        warnings.warn(
            f"caffe2op_atomics works without GPUs: {_CUDA_PATH.name} cannot be loaded "
            f"(torch {torch.__version__} with CUDA {torch.version.cuda}): {error}",
            stacklevel=3,
        )
        return str(error)
    return None


def _explanation(error: OSError) -> str:
    causes = [
        "the package was not built: run `pip install --no-build-isolation .` in its source tree"
        if not _PATH.exists()
        else f"{_PATH} was built on another kind of machine, or with a newer C++ library",
        f"torch is older than 2.10: this is {torch.__version__}",
        "torch was replaced or damaged while Python ran: restart, or install it again",
    ]
    return "\n".join(
        [
            f"caffe2op_atomics cannot load its op library: {error}",
            "Likely causes:",
            *(f"  {number}. {cause}" for number, cause in enumerate(causes, start=1)),
            f"Versions: torch {torch.__version__}, Python {platform.python_version()}, "
            f"{' '.join(platform.libc_ver())}, {platform.machine()}",
        ]
    )
