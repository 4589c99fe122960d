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

# Whether torch's profiler records the calling thread.
is_profiling: Callable[[], bool] = torch.autograd._profiler_enabled  # type: ignore[attr-defined]


def with_hooks(step: _Step) -> _Step:
    """Do what torch's constructor does to ``step``, which leaves it as it is then."""
    hooked = torch.optim.Optimizer.profile_hook_step(step)

    @functools.wraps(step)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        is_heard = (
            self._optimizer_step_pre_hooks
            or self._optimizer_step_post_hooks
            or _torchs._global_optimizer_pre_hooks
            or _torchs._global_optimizer_post_hooks
            or is_profiling()
        )
        return (hooked if is_heard else step)(self, *args, **kwargs)

    wrapper.hooked = True  # type: ignore[attr-defined]
    return cast(_Step, wrapper)
