"""Changing every element of a tensor and returning the tensor.

The contract is in the docstring of :mod:`caffe2op_atomics.ops`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ._operand import Number, operand
from ._overloads import Scope, in_scope


def add_(
    target: Tensor,
    other: Tensor | Number,
    alpha: Number = 1,
    *,
    stochastic_rounding: bool = False,
    generator: torch.Generator | None = None,
    scope: Scope = "system",
) -> Tensor:
    """Add ``alpha * other`` to ``target`` and return ``target``.

    Args:
        target: see :mod:`caffe2op_atomics.ops`.
        other: see :mod:`caffe2op_atomics.ops`.
        alpha: a factor; for an integer target an integer that fits, below 2**53.
        stochastic_rounding: for float16 and bfloat16, which lose every update below half of their
            step: round the float32 sum up or down at random, with the probabilities that make the
            result right on average. Steps of float16's subnormals are split by 24 random bits, all
            others exactly. Infinities, NaN and sums beyond the largest number are rounded to the
            nearest. The random bits are SplitMix64's (Steele, Lea and Flood, OOPSLA 2014), of the
            seed and the element's place, the same on every machine and number of threads.
        generator: where the seed is drawn from; torch's default one if None.
        scope: see :mod:`caffe2op_atomics.ops`.

    Example:
        >>> add_(torch.ones(2), torch.ones(2), alpha=-0.5)
        tensor([0.5000, 0.5000])
        >>> weights = torch.full((10_000,), 256.0, dtype=torch.bfloat16)  # steps of 2
        >>> _ = add_(weights, 0.5, stochastic_rounding=True)
        >>> bool((weights.float().mean() - 256.5).abs() < 0.1)
        True
    """
    op = in_scope[scope].add_
    seed = _seed("add_", target, stochastic_rounding, generator)
    op(target, operand("add_", "other", other, target), alpha, seed)
    return target


def sub_(
    target: Tensor,
    other: Tensor | Number,
    alpha: Number = 1,
    *,
    stochastic_rounding: bool = False,
    generator: torch.Generator | None = None,
    scope: Scope = "system",
) -> Tensor:
    """Subtract ``alpha * other`` from ``target`` and return ``target``.

    Args:
        target: see :mod:`caffe2op_atomics.ops`.
        other: see :mod:`caffe2op_atomics.ops`.
        alpha: a factor; for an integer target an integer that fits, below 2**53.
        stochastic_rounding: see :func:`add_`.
        generator: see :func:`add_`.
        scope: see :mod:`caffe2op_atomics.ops`.

    Example:
        >>> sub_(torch.ones(2), torch.ones(2), alpha=0.5)
        tensor([0.5000, 0.5000])
    """
    op = in_scope[scope].sub_
    seed = _seed("sub_", target, stochastic_rounding, generator)
    op(target, operand("sub_", "other", other, target), alpha, seed)
    return target


def min_(target: Tensor, other: Tensor | Number, *, scope: Scope = "system") -> Tensor:
    """Lower ``target`` to ``other`` where it is smaller and return ``target``.

    Example:
        >>> min_(torch.tensor([1, 5]), 3)
        tensor([1, 3])
    """
    in_scope[scope].min_(target, operand("min_", "other", other, target))
    return target


def max_(target: Tensor, other: Tensor | Number, *, scope: Scope = "system") -> Tensor:
    """Raise ``target`` to ``other`` where it is larger and return ``target``.

    Example:
        >>> max_(torch.tensor([1, 5]), 3)
        tensor([3, 5])
    """
    in_scope[scope].max_(target, operand("max_", "other", other, target))
    return target


def and_(target: Tensor, other: Tensor | Number, *, scope: Scope = "system") -> Tensor:
    """Keep the bits of ``target`` that ``other`` has too and return ``target``.

    Example:
        >>> and_(torch.tensor([6, 1]), 3)
        tensor([2, 1])
    """
    in_scope[scope].and_(target, operand("and_", "other", other, target))
    return target


def or_(target: Tensor, other: Tensor | Number, *, scope: Scope = "system") -> Tensor:
    """Set the bits of ``other`` in ``target`` and return ``target``.

    Example:
        >>> or_(torch.tensor([6, 1]), 3)
        tensor([7, 3])
    """
    in_scope[scope].or_(target, operand("or_", "other", other, target))
    return target


def xor_(target: Tensor, other: Tensor | Number, *, scope: Scope = "system") -> Tensor:
    """Flip the bits of ``other`` in ``target`` and return ``target``.

    Example:
        >>> xor_(torch.tensor([6, 1]), 3)
        tensor([5, 2])
    """
    in_scope[scope].xor_(target, operand("xor_", "other", other, target))
    return target


def _seed(
    op: str, target: Tensor, stochastic_rounding: bool, generator: torch.Generator | None
) -> int | None:
    if not stochastic_rounding:
        if generator is not None:
            raise ValueError(f"{op}: generator must be None without stochastic_rounding")
        return None
    if isinstance(target, Tensor) and target.dtype not in (torch.float16, torch.bfloat16):
        dtype = str(target.dtype).removeprefix("torch.")
        raise ValueError(f"{op}: stochastic_rounding must be False for {dtype} targets, got True")
    device = "cpu" if generator is None else generator.device  # not that of torch.device()
    return int(torch.randint(-(2**63), 2**63 - 1, (), generator=generator, device=device).item())
