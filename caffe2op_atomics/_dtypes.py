"""Which dtypes each op takes: asked of the op library, not written twice.

Every op checks dtypes before it touches anything, and its refusal lists those that it takes. So one
call that must be refused tells them all.
"""

from __future__ import annotations

import difflib
import functools
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from . import _library, _refusals

# No op is defined on it.
_REFUSED = torch.complex64


@functools.cache
def overload_of(op: str) -> Any:
    """Return the op of that name, with its overload or without; or raise, and name similar ones."""
    names = _library.op_names()
    if op not in names:
        near = " or ".join(map(repr, difflib.get_close_matches(op, names)))
        hint = f"; did you mean {near}?" if near else ""
        raise ValueError(
            f"is_supported: op must be a name in torch.ops.{_library.NAMESPACE}, got {op!r}{hint}"
        )
    packet, _, overload = op.partition(".")
    namespace = getattr(torch.ops, _library.NAMESPACE)
    return getattr(getattr(namespace, packet), overload or "default")


def has_kernel(overload: Any, device: str) -> bool:
    """Return whether an op does something on devices of that type."""
    if device == "meta" and _refusals.returns_numbers(overload):
        return False  # what is there refuses
    try:
        key = torch._C._dispatch_key_for_device(device)
    except RuntimeError:  # a device that has no tensors
        return False
    # An op without tensor arguments has one kernel, which looks at the device itself.
    return any(has_own_kernel(overload, each) for each in (key, "CompositeExplicitAutograd"))


def has_own_kernel(overload: Any, key: str) -> bool:
    """Return whether an op has a kernel of that dispatch key, and no fallback."""
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(overload.name(), key))


def done_by(overload: Any) -> Any:
    """Return the op that an op on a handle does to what that names; any other one itself."""
    name = name_of(overload)
    if not name.startswith("handle_"):
        return overload
    done = name.removeprefix("handle_").partition(".")[0]
    return overload_of(done if done in _library.op_names() else "handle")


@functools.cache
def dtypes_and_rule(overload: Any, device: str) -> tuple[frozenset[torch.dtype], str]:
    """Return the dtypes that an op takes and its rule on them; or none, and why."""
    if not (has_kernel(overload, device) and has_kernel(done_by(overload), device)):
        return frozenset(), f"{name_of(overload)} has no kernel for {device} in this build"
    overload = done_by(overload)
    # In a thread of its own: fake tensors and functional transforms, under which a call is another
    # one than it seems, belong to the caller's thread.
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(_ask, overload, device).result()


def _ask(overload: Any, device: str) -> tuple[frozenset[torch.dtype], str]:
    try:
        arguments = {
            argument.name: _argument(argument, device)
            for argument in overload._schema.arguments
            if not argument.has_default_value()
        }
        if any(argument.name == "device" for argument in overload._schema.arguments):
            arguments["device"] = device
        made = overload(**arguments)
    except RuntimeError as error:
        text = str(error).splitlines()[0]
        refusal = re.fullmatch(r"(.* must have dtype (.*)), got \w+", text)
        if refusal is None:
            return frozenset(), text
        listed = re.split(", | or ", refusal[2])
        return frozenset(getattr(torch, dtype) for dtype in listed), refusal[1]
    # Only what makes a tensor takes any.
    dtype = str(made.dtype).removeprefix("torch.")
    return frozenset([made.dtype]), f"{name_of(overload)}: dtype must be {dtype}"


def _argument(argument: Any, device: str) -> Any:
    if isinstance(argument.type, torch.ListType):
        is_of_tensors = isinstance(argument.type.getElementType(), torch.TensorType)
        return [torch.empty(0, dtype=_REFUSED, device=device) if is_of_tensors else 0]
    if not isinstance(argument.type, torch.TensorType):
        return 0
    if argument.name == "condition":  # looked at before what it sets
        return torch.ones(1, dtype=torch.bool, device=device)
    return torch.empty(0, dtype=_REFUSED, device=device)


def name_of(overload: Any) -> str:
    """Return the name without its namespace."""
    return str(overload.name().partition("::")[2])
