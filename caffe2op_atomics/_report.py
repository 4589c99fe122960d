"""The environment report of ``python -m caffe2op_atomics``: what to paste into a bug report.

It is about this process and machine, reads only, and says of a line that cannot be told why.
"""

from __future__ import annotations

import os
import platform
import sys
import threading
from collections.abc import Callable, Mapping

import torch
import torch.multiprocessing as mp

from . import __version__, _cells, _library, _support, _system, names

_OURS = "CAFFE2OP_ATOMICS_"

_ops = torch.ops.atomics
_OWNER_DIED = 2  # what mutex_lock returns then


def report() -> str:
    """Return the report, as lines of aligned text."""
    width = max(len(label) for lines in _SECTIONS.values() for label in lines)
    text = []
    for title, lines in _SECTIONS.items():
        text.append(title)
        text += [f"  {label:<{width}}  {_told(tell)}" for label, tell in lines.items()]
    return "\n".join([*text, *_environment()])


def _told(tell: Callable[[], str]) -> str:
    try:
        return tell()
    except Exception as error:  # a report with a gap is one, a traceback is none
        return f"cannot be told: {type(error).__name__}: {' '.join(str(error).split())}"


def _torch() -> str:
    vectors = torch.backends.cpu.get_cpu_capability()
    return f"{torch.__version__}, CUDA {torch.version.cuda or 'none'}, vectors {vectors}"


def _python() -> str:
    lock = "with a GIL" if getattr(sys, "_is_gil_enabled", lambda: True)() else "without a GIL"
    return f"{platform.python_version()} ({platform.python_implementation()}, {lock})"


def _cuda_library() -> str:
    if _library.why_no_cuda is not None:
        return f"not loaded: {_library.why_no_cuda}"
    count = torch.cuda.device_count()
    cards = sorted({torch.cuda.get_device_name(index) for index in range(count)})
    return f"loaded; {count} GPU{'s' * (count != 1)} {', '.join(cards)}".rstrip()


def _fast_path() -> str:
    return "in use" if _cells.WHY_SLOW is None else f"not in use ({_cells.WHY_SLOW})"


def _wide_swap() -> str:
    word = _support.word()
    return "yes" if word == 16 else f"no, {word} bytes at once"


def _avx2() -> str:
    flags = _system.cpuinfo().get("flags")
    if flags is None:
        return f"not on {platform.machine()}"
    return "yes" if {"avx2", "f16c"} <= set(flags.split()) else "no"


def _robust_mutexes() -> str:
    mutex = _ops.create_mutex()
    holder = threading.Thread(target=_ops.mutex_lock.default, args=(mutex,))
    holder.start()
    holder.join()  # and it ends with the mutex held
    if _ops.mutex_lock(mutex, 0, 1.0) != _OWNER_DIED:
        return "NO: the end of a thread did not unlock its mutex"
    _ops.mutex_consistent(mutex)
    _ops.mutex_unlock(mutex)
    return "yes"


def _futex() -> str:
    _ops.wait(torch.zeros(1, dtype=torch.int32), 0, 0.001)  # raises where there is none
    return "yes"


def _start_method() -> str:
    chosen = mp.get_start_method(allow_none=True)
    return chosen or f"{mp.get_all_start_methods()[0]}, by default"


def _named_objects() -> str:
    found = names.list_names()
    left = sum(not info.users and info.creator_alive is False for info in found)
    return f"{len(found)}{f', {left} left by processes that ended: see --list' * bool(left)}"


def _environment() -> list[str]:
    ours = {name: value for name, value in sorted(os.environ.items()) if name.startswith(_OURS)}
    return [
        f"environment{'' if ours else ': no ' + _OURS + '* is set'}",
        *(f"  {name}={value}" for name, value in ours.items()),
    ]


_SECTIONS: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "versions": {
        "caffe2op_atomics": lambda: __version__,
        "torch": _torch,
        "Python": _python,
        "kernel": lambda: f"{platform.system()} {platform.release()} {platform.machine()}",
        "libc": lambda: " ".join(platform.libc_ver()).strip() or "not glibc",
        "processor": _system.processor,
    },
    "build and machine": {
        "op library": _library.library_path,
        "CUDA library": _cuda_library,
        "fast path": _fast_path,
        "16-byte compare-and-swap": _wide_swap,
        "AVX2 and F16C": _avx2,
        "robust mutexes": _robust_mutexes,
        "futex": _futex,
    },
    "sharing": {
        "strategy": mp.get_sharing_strategy,
        "start method": _start_method,
        "named objects": _named_objects,
    },
    "limits": {
        "/dev/shm": _system.shared_memory,
        "memory": _system.memory,
        "memory mappings": _system.mappings,
        "file descriptors": _system.descriptors,
        "threads": _system.threads,
    },
    "container": {
        "hints": _system.container,
        "pid namespace": _system.pid_namespace,
    },
}
