"""Which op takes which dtype on which device, and how."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import torch

from . import _library, _system
from ._dtypes import (
    done_by,
    dtypes_and_rule,
    has_kernel,
    has_own_kernel,
    name_of,
    overload_of,
)

# What has_wide() of csrc/cpu/wide.h looks for, by the line of /proc/cpuinfo that has it.
_WIDE = {"flags": {"cx16", "3dnowprefetch"}, "Features": {"atomics"}}


@dataclass(frozen=True)
class Support:
    """What :func:`is_supported` found. True if supported.

    Attributes:
        supported: whether the op is defined on the dtype and has a kernel for the device.
        lock_free: whether each element is updated, or read, by atomic instructions without a lock,
            so that no thread ever waits for one that was stopped. False for mutexes, the ops that
            take one, and ``wait`` and ``notify``, which call the operating system.
        width: bytes that one atomic instruction of this machine updates at most: more than the
            dtype's own size if neighbouring elements are updated together, which is faster. Only
            single elements are promised to be atomic. 0 if not ``lock_free``.
        why: one line on why not, or on what is missing on the device; empty otherwise.
    """

    supported: bool
    lock_free: bool
    width: int
    why: str

    def __bool__(self) -> bool:
        return self.supported

    def __str__(self) -> str:
        if self.why:
            return ("supported: " if self.supported else "not supported: ") + self.why
        if self.lock_free:
            return f"supported, lock-free, up to {self.width} bytes at once"
        return "supported, not lock-free"


def is_supported(
    op: str,
    dtype: torch.dtype,
    device: str | torch.device = "cpu",
    *,
    host_memory: bool = False,
) -> Support:
    """Return whether ``op`` takes ``dtype`` on ``device``, and how it updates an element there.

    Args:
        op: a name in ``torch.ops.atomics``, with its overload (``"fetch_add.int"``) or without, for
            the one that takes tensors.
        dtype: target's; of an op that takes a mutex, a flag or a handle, that of what it changes;
            of an op that creates something, that of the result.
        device: only its type counts. ``"meta"`` is for tracing: a call there updates nothing.
        host_memory: whether target is a CUDA tensor over pinned memory of the host, which the CPU
            updates too (docs/cuda.md): then the GPU itself counts, and has to be there.

    Returns:
        The answer, which is true if the op is supported; ``print`` it.

    Raises:
        TypeError: if an argument is of another type.
        ValueError: if there is no such op or device, or ``host_memory`` is not of a GPU.

    Example:
        >>> is_supported("fetch_add.int", torch.int64)
        Support(supported=True, lock_free=True, width=8, why='')
        >>> if not (support := is_supported("fetch_xor", torch.float32)):
        ...     print(support)
        not supported: fetch_xor: target must have dtype bool, uint8, int8, int16, int32 or int64, \
got float32
    """
    if not isinstance(op, str):
        raise TypeError(f"is_supported: op must be a name, got {type(op).__name__}")
    if not isinstance(dtype, torch.dtype):
        raise TypeError(f"is_supported: dtype must be a torch.dtype, got {type(dtype).__name__}")
    overload = overload_of(op)
    kind = _device_type(device)
    if host_memory and kind != "cuda":
        raise ValueError(f"is_supported: host_memory must be False for {kind}, got True")
    # Not every Meta kernel looks at dtypes, and what is traced with it runs elsewhere; a GPU takes
    # the same ones, and need not be there.
    elsewhere = (kind == "meta" and has_kernel(overload, kind)) or (
        kind == "cuda" and has_own_kernel(overload, "CUDA")
    )
    asked = "cpu" if elsewhere else kind
    dtypes, rule = dtypes_and_rule(overload, asked)
    if dtype not in dtypes:
        got = f", got {str(dtype).removeprefix('torch.')}" if dtypes else ""
        return Support(False, False, 0, rule + got)
    if kind == "meta":
        return Support(True, False, 0, "meta tensors are for tracing, a call updates nothing")
    if not _is_lock_free(overload):
        return Support(True, False, 0, "")
    if host_memory and (why := _why_not_in_host_memory(overload, dtype, torch.device(device))):
        return Support(False, False, 0, f"{name_of(overload)} {why}")
    reach = 0 if kind == "cuda" else _reach(done_by(overload), word())
    return Support(True, True, max(dtype.itemsize, reach), "")


def table() -> str:
    """Return the table of docs/support.md: a row for each op, a column for each dtype."""
    names = sorted((name for name in _library.op_names() if "." not in name), key=_row_order)
    dtypes_of = {name: dtypes_and_rule(overload_of(name), "cpu")[0] for name in names}
    columns = sorted(frozenset().union(*dtypes_of.values()), key=_column_order)
    head = ["op", "overloads", *(str(dtype).removeprefix("torch.") for dtype in columns)]
    rows = [[*head, "lock-free", "bytes at once"], ["---"] * (len(head) + 2)]
    for name in names:
        overload = overload_of(name)
        overloads = [other for other in overload.overloadpacket.overloads() if other != "default"]
        lock_free = _is_lock_free(overload)
        reach = (_reach(done_by(overload), 16) or "one element") if lock_free else ""
        rows.append(
            [
                f"`{name}`",
                " ".join(f"`.{other}`" for other in sorted(overloads)),
                *("x" if dtype in dtypes_of[name] else "" for dtype in columns),
                "x" if lock_free else "",
                str(reach),
            ]
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row_order(name: str) -> tuple[bool, str]:
    return not _is_lock_free(overload_of(name)), name


def _column_order(dtype: torch.dtype) -> tuple[bool, int, bool, str]:
    return dtype.is_floating_point, dtype.itemsize, dtype.is_signed, str(dtype)


def _device_type(device: str | torch.device) -> str:
    if not isinstance(device, (str, torch.device)):
        raise TypeError(f"is_supported: device must be a device, got {type(device).__name__}")
    try:
        return torch.device(device).type
    except RuntimeError:
        raise ValueError(f"is_supported: device must be a device, got {device!r}") from None


def _is_lock_free(overload: Any) -> bool:
    if name_of(overload).startswith("handle"):
        return done_by(overload) is not overload and _is_lock_free(done_by(overload))
    names = {argument.name for argument in overload._schema.arguments}
    waits = "mutex" in names or name_of(overload) in ("wait", "notify")
    return not waits and not names.isdisjoint({"target", "atomic_bool"})


def _reach(overload: Any, word: int) -> int:
    """Return the bytes that are updated together, as csrc/cpu has it; 0 for one element."""
    schema = overload._schema
    has_flags = len(schema.returns) == 2  # of success or overflow, for each element
    if has_flags or schema.overload_name or schema.arguments[0].name != "target":
        return 0
    # What is only loaded or stored is so by instructions that every machine has.
    return 8 if schema.name.endswith(("::load", "::store_")) else word


def _why_not_in_host_memory(overload: Any, dtype: torch.dtype, device: torch.device) -> str:
    packet = name_of(overload).partition(".")[0]
    # As kIsPlain of csrc/cuda/cells.cuh: what every link loads and stores whole.
    if packet == "load" or (packet == "store_" and dtype.itemsize > 1):
        return ""
    library = _library.cuda_library
    if library is None or not torch.cuda.is_available():
        return "beside the host depends on the GPU, and none is there"
    index = torch.cuda.current_device() if device.index is None else device.index
    of = dtype.is_floating_point, dtype.itemsize, index
    if library.atomics_updates_host(packet.encode(), *of) > 0:
        return ""
    return (
        f"beside the host needs its atomic over the link to the GPU, which cuda:{index} does not "
        "have"
    )


@functools.cache
def word() -> int:
    """Return the bytes that this machine compares and swaps at once."""
    found = _system.cpuinfo()
    has = any(wanted <= set(found.get(line, "").split()) for line, wanted in _WIDE.items())
    return 16 if has else 8
