"""What is done to several guarded tensors in one call."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from . import ops
from ._arguments import check_dense, sequence
from .guarded_tensor import GuardedTensor
from .ops._operand import Number


def foreach_add_(
    guarded: Sequence[GuardedTensor], others: Sequence[Tensor], alpha: Number = 1
) -> None:
    """Add ``alpha * others[k]``, which broadcasts, to ``guarded[k]`` for every k.

    It is one call of an op: all of ``others`` are calculated before the first tensor is changed, in
    a compiled function, too. The tensors are changed one after the other, not all at one moment.

    Args:
        guarded: the tensors.
        others: as many plain ones, of their dtypes; at most 65,536. One that shares memory with a
            tensor that is changed is copied first.
        alpha: a factor; in a graph, each value is compiled anew.

    Raises:
        TypeError: if an element is no such tensor.
        RuntimeError: if there are not as many, or one does not fit. Nothing is changed then.

    Example:
        >>> weights = [GuardedTensor(torch.ones(2)), GuardedTensor(torch.zeros(1))]
        >>> foreach_add_(weights, [torch.ones(2), torch.ones(1)], alpha=-0.5)
        >>> weights
        [GuardedTensor([0.5000, 0.5000]), GuardedTensor([-0.5000])]
    """
    targets = sequence("foreach_add_: guarded", guarded, GuardedTensor)
    summands = sequence("foreach_add_: others", others, Tensor)
    if len(summands) != len(targets):
        raise RuntimeError(
            f"foreach_add_: others must have {len(targets)} elements like guarded, "
            f"got {len(summands)}"
        )
    for number, summand in enumerate(summands):
        check_dense(f"foreach_add_: others[{number}]", summand)
    ops.handle_guarded_add_([each.handle for each in targets], summands, alpha)


def snapshot(*guarded: GuardedTensor) -> list[Tensor]:
    """Return copies of guarded tensors, all of one moment, while others go on.

    Holds all their mutexes together: at most 1024, which tensors with one ``bank`` keep to.

    Args:
        guarded: the tensors.

    Raises:
        TypeError: if one is not a GuardedTensor, or there is none.
        RuntimeError: if they have too many mutexes.

    Example:
        >>> weights = GuardedTensor(torch.ones(2))
        >>> steps = GuardedTensor([1], dtype=torch.int64, bank=weights)
        >>> snapshot(weights, steps)
        [tensor([1., 1.]), tensor([0])]
    """
    if not guarded:
        raise TypeError("snapshot: arguments must be at least one GuardedTensor, got none")
    sequence("snapshot: arguments", guarded, GuardedTensor)
    tensors = [each._data for each in guarded]
    copies = [torch.empty_like(tensor) for tensor in tensors]
    banks, firsts = [each._bank for each in guarded], [each._first for each in guarded]
    ops.guarded_copy_(banks, tensors, firsts, copies, tensors)
    return copies
