"""Scripts step weights in lists: given copies, and frozen with care (docs/support.md)."""

from __future__ import annotations

import torch
from torch import Tensor

ops = torch.ops.atomics


@torch.jit.script
def copied(tensors: list[Tensor]) -> list[Tensor]:
    return [each for each in tensors]  # noqa: C416  (of two list(tensors) torch makes one)


class Stepping(torch.nn.Module):
    """Steps weights that are the same at first, in lists and in a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mutex", ops.create_mutex())
        self.register_buffer("steps", torch.zeros(1, dtype=torch.int64))
        self.one, self.other = [torch.zeros(2)], [torch.zeros(2)]
        self.layer = torch.nn.Linear(2, 2, bias=False)
        self.layer.weight.data.zero_()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        for params, lr in (
            (copied(self.one), 1.0),
            (copied(self.other), 2.0),
            ([self.layer.weight], 1.0),
        ):
            grads = [torch.ones_like(params[0])]
            torch.ops.atomics.guarded_sgd_(self.mutex, params, grads, [], self.steps, [0], lr=lr)
        return self.one[0] * 1, self.other[0] * 1, self.layer(x)


def test_weights_in_lists_are_stepped_where_freezing_preserves_them():
    """One constant would be made of ``one`` and ``other``, and a copy of the layer's weight."""
    script = torch.jit.script(Stepping().eval())
    frozen = torch.jit.freeze(script, preserved_attrs=["one", "other", "layer.weight"])
    module = torch.jit.optimize_for_inference(frozen)
    for call in range(1, 4):
        assert [each.tolist() for each in module(torch.ones(2))] == [
            [-call] * 2,
            [-2 * call] * 2,
            [-2 * call] * 2,
        ]


@torch.jit.script
def step_twice(
    mutex: Tensor, params: list[Tensor], grads: list[Tensor], steps: Tensor
) -> list[Tensor]:
    torch.ops.atomics.guarded_sgd_(mutex, copied(params), copied(grads), [], steps, [0], lr=1.0)
    torch.ops.atomics.guarded_sgd_(mutex, copied(params), copied(grads), [], steps, [0], lr=1.0)
    return params


def test_steps_on_copies_of_lists_are_all_made():
    """torch would take the tensors out of the lists themselves."""
    params, steps = [torch.zeros(3)], torch.zeros(1, dtype=torch.int64)
    for call in range(1, 4):
        after = step_twice(ops.create_mutex(), params, [torch.ones(3)], steps)
        assert after[0].tolist() == params[0].tolist() == [-2 * call] * 3
        assert steps.tolist() == [2 * call]
