"""The ways in which torch turns a module into TorchScript, and the way through a file."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def save_and_load(scripted: Any) -> Any:
    file = io.BytesIO()
    torch.jit.save(scripted, file)
    file.seek(0)
    return torch.jit.load(file)


def _script(module: nn.Module, _: Tensor) -> Any:
    return torch.jit.script(module.eval())


def _trace(module: nn.Module, example: Tensor) -> Any:
    return torch.jit.trace(module.eval(), example, check_trace=False)  # a check runs it again


# name -> what makes a script of a module, which is given an input if it has to be run
WAYS: dict[str, Callable[[nn.Module, Tensor], Any]] = {
    "script": _script,
    "trace": _trace,
    "freeze": lambda *given: torch.jit.freeze(_script(*given)),
    "trace, freeze": lambda *given: torch.jit.freeze(_trace(*given)),
    "optimize_for_inference": lambda *given: torch.jit.optimize_for_inference(_script(*given)),
}
FREEZING = [way for way in WAYS if way not in ("script", "trace")]
