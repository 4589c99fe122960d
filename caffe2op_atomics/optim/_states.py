"""state_dict and load_state_dict: torch.optim's format, from and into shared memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ._groups import FIXED
from ._memory import Memory, Moments, Plan


def shared_tensors(memory: Memory, plans: Sequence[Plan]) -> list[Tensor]:
    """Return all that is saved of the shared memory: steps, numbers, moments by group and name."""
    moments = (moment for plan in plans for of_name in plan.moments.values() for moment in of_name)
    return [memory.steps, memory.cells, *moments]


def pack(
    plans: Sequence[Plan],
    saved: Sequence[Tensor],
    state_of: Callable[[int, dict[str, Tensor]], dict[str, Any]],
) -> dict[str, Any]:
    """Return a state_dict.

    Args:
        plans: the groups.
        saved: copies of :func:`shared_tensors`.
        state_of: gives the state of a parameter from its steps and moments.
    """
    steps, cells, *moments = saved
    numbers, cell, number = iter(moments), 0, 0
    state: dict[int, dict[str, Any]] = {}
    groups: list[dict[str, Any]] = []
    for plan in plans:
        count = len(plan.params)
        ids = list(range(number, number + count))
        end = cell + plan.group.cell_count
        groups.append({**plan.group, **plan.group.numbers(cells[cell:end]), "params": ids})
        of_name = {name: [next(numbers) for _ in ids] for name in plan.moments}
        for k, one in enumerate(ids):
            entry = state_of(int(steps[one]), {name: of_all[k] for name, of_all in of_name.items()})
            if entry:
                state[one] = entry
        number, cell = number + count, end
    return {"state": state, "param_groups": groups}


def unpack(
    name: str, plans: Sequence[Plan], state_dict: Mapping[str, Any], moments_of: Moments
) -> list[Tensor]:
    """Return what a state_dict says of :func:`shared_tensors`, after all checks.

    Raises:
        ValueError: if it is not of an optimizer with these groups.
    """
    groups = state_dict["param_groups"]
    if [len(group["params"]) for group in groups] != [len(plan.params) for plan in plans]:
        raise ValueError(
            f"load_state_dict: state_dict must have the groups of this {name}, with "
            f"{[len(plan.params) for plan in plans]} parameters, got "
            f"{[len(group['params']) for group in groups]}"
        )
    state = state_dict["state"]
    for plan, group in zip(plans, groups, strict=True):
        _check_kind(name, plan, group, moments_of)
        for number in group["params"]:
            _check_entry(name, plan, state.get(number, {}))
    steps: list[int] = []
    cells: list[float] = []
    moments: list[Tensor] = []
    for plan, group in zip(plans, groups, strict=True):
        entries = [state.get(number, {}) for number in group["params"]]
        steps += [_steps(entry) for entry in entries]
        cells += plan.group.cells_for(group)
        for key, first in moments_of(plan.group).items():
            for entry, moment in zip(entries, plan.moments[key], strict=True):
                moments.append(_moment(name, key, entry.get(key), moment, first))
    return [
        torch.tensor(steps, dtype=torch.int64, device="cpu"),
        torch.tensor(cells, dtype=torch.float64, device="cpu"),
        *moments,
    ]


def _check_kind(name: str, plan: Plan, group: Mapping[str, Any], moments_of: Moments) -> None:
    """Raise if the options of a loaded group ask for other state than there is."""
    for key in FIXED[1:]:
        if key in plan.group and group.get(key, plan.group[key]) != plan.group[key]:
            raise ValueError(
                f"load_state_dict: {key} must be {plan.group[key]} as in this {name}, "
                f"got {group[key]}"
            )
    wanted = list(moments_of({**plan.group, **group}))
    if wanted != list(plan.moments):
        raise ValueError(
            f"load_state_dict: options must ask for the state of this {name}, "
            f"{list(plan.moments)}, got some that ask for {wanted}"
        )


def _check_entry(name: str, plan: Plan, entry: Mapping[str, Any]) -> None:
    """Raise if the loaded state of a parameter is of another optimizer."""
    got = sorted(key for key, value in entry.items() if key != "step" and value is not None)
    if got and got != sorted(plan.moments):
        raise ValueError(
            f"load_state_dict: state must have {sorted(plan.moments)} as in this {name}, got {got}"
        )


def _steps(entry: Mapping[str, Any]) -> int:
    # torch.optim.SGD counts none; one that has a buffer has made some.
    steps = entry.get("step", any(value is not None for value in entry.values()))
    if not steps >= 0:
        raise ValueError(f"load_state_dict: step must not be negative, got {float(steps)}")
    return int(steps)


def _moment(name: str, key: str, saved: Tensor | None, like: Tensor, first: float) -> Tensor:
    new = torch.full_like(like, first)
    if saved is None:
        return new
    if saved.shape != like.shape:
        raise ValueError(
            f"load_state_dict: {key} must have shape {list(like.shape)} as in this {name}, "
            f"got {list(saved.shape)}"
        )
    # + 0: a loaded -0.0 is a number, not "never used".
    return new.copy_(saved).add_(0.0)


def load_local_options(plans: Sequence[Plan], state_dict: Mapping[str, Any]) -> None:
    """Set the options that are not shared, such as a scheduler's ``initial_lr``.

    The names of parameters stay those of the constructor, by which ``pull`` finds them.
    """
    for plan, group in zip(plans, state_dict["param_groups"], strict=True):
        for key in set(group) - {*FIXED, "param_names"}:
            if not plan.group.is_shared(key):
                plan.group[key] = group[key]
