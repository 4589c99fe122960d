"""Models of one process beside the shared parameters: which parameter is which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from ._memory import Plan

# A model of this process, or its parameters in the order of the groups.
Local = nn.Module | Iterable[Tensor]


def match(method: str, argument: str, local: Local, plans: Sequence[Plan]) -> list[Tensor]:
    """Return the local parameters in the order of the shared ones.

    Raises:
        RuntimeError: if they are not like those, or are those.
        TypeError: for a state_dict.
    """
    if isinstance(local, Mapping):
        raise TypeError(
            f"{method}: {argument} must be a module or its parameters, got {type(local).__name__}"
        )
    if not isinstance(local, nn.Module):
        matched = list(local)
    elif all("param_names" in plan.group for plan in plans):
        by_name = dict(local.named_parameters())
        names = [name for plan in plans for name in plan.group["param_names"]]
        matched = [by_name[name] for name in names if name in by_name]
    elif len(plans) == 1:
        matched = list(local.parameters())
    else:
        raise RuntimeError(
            f"{method}: {argument} must be the parameters in the order of the groups if there "
            "are several (or make the optimizer of named_parameters()), got a module"
        )
    shared = [param for plan in plans for param in plan.params]
    if len(matched) != len(shared):
        raise RuntimeError(
            f"{method}: {argument} must have the {len(shared)} parameters that are shared, "
            f"got {len(matched)}"
        )
    for number, (param, local_param) in enumerate(zip(shared, matched, strict=True)):
        if not alike(param, local_param):
            raise RuntimeError(
                f"{method}: parameter {number} of {argument} must be {looks(param)}, "
                f"got {looks(local_param)}"
            )
        if method != "step" and param.data_ptr() == local_param.data_ptr() and param.numel() > 0:
            raise RuntimeError(
                f"{method}: {argument} must have memory of its own (copy.deepcopy of the model), "
                "got the shared parameters"
            )
    return matched


def alike(param: Tensor, other: Tensor) -> bool:
    """Return whether that is the same of a parameter and another tensor which has to be."""
    return (other.shape, other.dtype, other.device) == (param.shape, param.dtype, param.device)


def looks(tensor: Tensor) -> str:
    """Return that, for messages."""
    dtype = str(tensor.dtype).removeprefix("torch.")
    return f"{dtype} of shape {list(tensor.shape)} on {tensor.device}"


def note_change(params: Sequence[Tensor]) -> None:
    """Let backward() of an older forward pass raise, as after an in-place operation."""
    if any(map(Tensor.is_inference, params)):  # those have no version
        params = [param for param in params if not param.is_inference()]
    torch.autograd.graph.increment_version(params)
