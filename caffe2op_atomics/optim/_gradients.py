"""The gradients of a step: whose they are, and whether they fit, before anything is changed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .._arguments import has_memory
from ._local import Local, alike, looks, match
from ._memory import Plan

Gradients = Sequence[Tensor | None]


def gradients(
    plans: Sequence[Plan],
    params: Sequence[Tensor],
    grads_from: Local | None,
    grads: Gradients | None,
) -> Gradients:
    """Return those of a step: of ``grads_from`` or ``grads``, or of ``params``, all of the plans.

    Raises:
        RuntimeError: if there are none, or they do not fit.
        TypeError: if both are given, or an element is no tensor.
    """
    if grads is not None:
        if grads_from is not None:
            raise TypeError("step: grads must not be given with grads_from, got both")
        _check_count(params, grads)
        found = list(grads)
    else:
        if grads_from is not None:
            params = match("step", "grads_from", grads_from, plans)
        found = [param.grad for param in params]
    if all(grad is None for grad in found):
        if grads is not None or grads_from is not None:
            raise RuntimeError("step: at least one gradient must be given, got none")
        raise RuntimeError(
            "step: at least one parameter must have a gradient, got none: backward() was not "
            "called, or model and optimizer came to this process separately and are no longer "
            "linked (send them together: in one tuple, or in the args of one Process)"
        )
    return found


def _check_count(params: Sequence[Tensor], grads: Gradients) -> None:
    if len(grads) != len(params):
        raise RuntimeError(
            f"step: grads must have one element for each of {len(params)} parameters, "
            f"got {len(grads)}"
        )
    for number, grad in enumerate(grads):
        if grad is not None and not isinstance(grad, Tensor):
            raise TypeError(
                f"step: grads[{number}] must be a tensor or None, got {type(grad).__name__}"
            )


def check_fit(params: Sequence[Tensor], grads: Gradients, shared: Sequence[Tensor]) -> None:
    """Raise what the ops would raise, before the first of several that a step calls.

    Raises:
        RuntimeError: if a gradient does not fit its parameter, or lies in memory of ``shared``.
    """
    taken = {tensor.untyped_storage().data_ptr() for tensor in shared}
    for number, (param, grad) in enumerate(zip(params, grads, strict=True)):
        if grad is None:
            continue
        which = f"step: gradient {number} must"
        if not alike(param, grad):
            raise RuntimeError(f"{which} be {looks(param)}, got {looks(grad)}")
        if grad.layout not in (torch.strided, torch.sparse_coo):
            layout = str(grad.layout).removeprefix("torch.")
            raise RuntimeError(f"{which} be dense or sparse by rows, got layout {layout}")
        values = grad
        if grad.is_sparse:
            check_rows(grad)
            values, rows = grad._values(), grad._indices()
            if rows.numel() and not 0 <= int(rows.min()) <= int(rows.max()) < len(param):
                raise RuntimeError(f"{which} have rows in [0, {len(param)}), got others")
        if values.is_neg():
            raise RuntimeError(f"{which} not be a negative view, got one")
        if not has_memory(values):
            raise RuntimeError(f"{which} still have its memory, got a tensor without")
        if values.data_ptr() % values.itemsize != 0:
            raise RuntimeError(f"{which} be aligned, got a view that is not")
        if values.numel() and values.untyped_storage().data_ptr() in taken:
            raise RuntimeError(f"{which} have memory of its own, got that of a parameter or moment")


def check_rows(grad: Tensor) -> None:
    """Raise if a sparse gradient is not one of rows.

    Raises:
        RuntimeError: if it is not.
    """
    if grad.sparse_dim() != 1:
        raise RuntimeError(
            "step: a sparse gradient must be sparse in its first dimension only, got "
            f"{grad.sparse_dim()} sparse dimensions"
        )


def check_private(name: str, params: Sequence[Tensor]) -> None:
    """Raise if a parameter's gradient lies in shared memory: several workers would write one.

    Raises:
        RuntimeError: if one does.
    """
    for number, param in enumerate(params):
        grad = param.grad
        if grad is None or grad.is_cuda or grad.layout is not torch.strided:
            continue  # torch calls all memory of a GPU shared
        if grad.is_shared():
            raise RuntimeError(
                f"{name}: parameter {number} must have no gradient in shared memory, got one, "
                "which share_memory() made of one that was there: zero_grad() first"
            )
