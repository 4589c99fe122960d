"""torch's hooks and profiler labels, only where somebody asked for them.

They take longer than the step of a small model.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
from torch.optim import optimizer as _torchs

_Step = TypeVar("_Step", bound=Callable[..., Any])


def is_profiling() -> bool:
    """Return whether torch's profiler records this thread, or all."""
    here = torch.autograd._profiler_enabled()  # type: ignore[attr-defined]
    return bool(here or torch.autograd.profiler._is_profiler_enabled)


def with_hooks(step: _Step) -> _Step:
    """Do what torch's constructor does to ``step``, which leaves it as it is then."""
    hooked = torch.optim.Optimizer.profile_hook_step(step)

    @functools.wraps(step)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        # The step of a subclass that has its own is wrapped by torch.
        is_heard = type(self).step is wrapper and (
            self._optimizer_step_pre_hooks
            or self._optimizer_step_post_hooks
            or _torchs._global_optimizer_pre_hooks
            or _torchs._global_optimizer_post_hooks
            or is_profiling()
        )
        return (hooked if is_heard else step)(self, *args, **kwargs)

    wrapper.hooked = True  # type: ignore[attr-defined]
    return cast(_Step, wrapper)
