"""Steps of optimizers on guarded parameters: a parameter and its moments change as one.

The contract of :mod:`caffe2op_atomics.ops.guarded`, and:

* ``params`` are float32, float64 or bfloat16. Each gradient has the dtype and shape of its
  parameter; each moment its shape and, as what is calculated with, its dtype, but float32 for a
  bfloat16 parameter. Moments have no locks of their own: they follow their parameter's elements and
  are touched only by these functions or under the parameter's locks.
* ``steps`` counts the steps of each parameter: an int64 of shape ``[len(params)]``, incremented
  atomically.
* The formulas are those of ``torch.optim``, and so are the results of a single worker, to rounding.
* All lists are checked before the first element is changed. Each thread begins with another
  parameter and another stripe, so that workers seldom wait for each other.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ._overloads import default as _default

Tensors = Sequence[Tensor]


def guarded_sgd_(
    mutex: Tensor,
    params: Tensors,
    grads: Tensors,
    momentum_buffers: Tensors,
    steps: Tensor,
    first: Sequence[int],
    *,
    lr: float,
    momentum: float = 0,
    dampening: float = 0,
    weight_decay: float = 0,
    nesterov: bool = False,
    maximize: bool = False,
) -> Tensors:
    """Step ``params`` as ``torch.optim.SGD`` does and return them.

    Args:
        mutex: a bank, see :mod:`caffe2op_atomics.ops.guarded`.
        params: changed.
        grads: read.
        momentum_buffers: changed; empty without momentum. One that was never used is all -0.0: its
            first gradient enters it undamped.
        steps: changed.
        first: for each parameter the mutex of the first byte of its storage.
        lr: the learning rate.
        momentum: as ``torch.optim.SGD`` has it.
        dampening: as ``torch.optim.SGD`` has it.
        weight_decay: as ``torch.optim.SGD`` has it.
        nesterov: as ``torch.optim.SGD`` has it.
        maximize: as ``torch.optim.SGD`` has it.

    Example:
        >>> bank, weights = torch.ops.atomics.create_mutex(), torch.ones(2)
        >>> steps = torch.zeros(1, dtype=torch.int64)
        >>> guarded_sgd_(bank, [weights], [torch.tensor([1.0, 2.0])], [], steps, [0], lr=0.5)
        [tensor([0.5000, 0.0000])]
    """
    _default.guarded_sgd_(
        mutex,
        params,
        grads,
        momentum_buffers,
        steps,
        first,
        lr=lr,
        momentum=momentum,
        dampening=dampening,
        weight_decay=weight_decay,
        nesterov=nesterov,
        maximize=maximize,
    )
    return params


def guarded_adagrad_(
    mutex: Tensor,
    params: Tensors,
    grads: Tensors,
    state_sums: Tensors,
    steps: Tensor,
    first: Sequence[int],
    *,
    lr: float,
    lr_decay: float = 0,
    weight_decay: float = 0,
    eps: float = 1e-10,
    maximize: bool = False,
) -> Tensors:
    """Step ``params`` as ``torch.optim.Adagrad`` does and return them.

    Args:
        mutex: a bank, see :mod:`caffe2op_atomics.ops.guarded`.
        params: changed.
        grads: read.
        state_sums: changed.
        steps: changed.
        first: for each parameter the mutex of the first byte of its storage.
        lr: the learning rate.
        lr_decay: as ``torch.optim.Adagrad`` has it.
        weight_decay: as ``torch.optim.Adagrad`` has it.
        eps: as ``torch.optim.Adagrad`` has it.
        maximize: as ``torch.optim.Adagrad`` has it.

    Example:
        >>> bank, weights = torch.ops.atomics.create_mutex(), torch.ones(2)
        >>> steps = torch.zeros(1, dtype=torch.int64)
        >>> gradients, sums = torch.tensor([1.0, -2.0]), torch.zeros(2)
        >>> guarded_adagrad_(bank, [weights], [gradients], [sums], steps, [0], lr=0.5)
        [tensor([0.5000, 1.5000])]
    """
    _default.guarded_adagrad_(
        mutex,
        params,
        grads,
        state_sums,
        steps,
        first,
        lr=lr,
        lr_decay=lr_decay,
        weight_decay=weight_decay,
        eps=eps,
        maximize=maximize,
    )
    return params


def guarded_index_adagrad_(
    mutex: Tensor,
    target: Tensor,
    dim: int,
    index: Tensor,
    source: Tensor,
    state_sum: Tensor,
    steps: Tensor,
    first: int = 0,
    *,
    lr: float,
    lr_decay: float = 0,
    eps: float = 1e-10,
    maximize: bool = False,
) -> Tensor:
    """Step the rows of ``target`` that a sparse gradient names, and return ``target``.

    Args:
        mutex: a bank, see :mod:`caffe2op_atomics.ops.guarded`.
        target: the parameter, at least one dimension. Changed.
        dim: 0.
        index: rows of target, int32 or int64. Equal ones are steps one after the other; coalesce
            first for what ``torch.optim.Adagrad`` does.
        source: their gradients, of target's dtype and shape ``[len(index), *target.shape[1:]]``.
        state_sum: of target's shape, or of shape ``[target.size(0)]``: then a row has one sum, of
            the means of its squares (row-wise Adagrad, as in Mudigere et al., ISCA 2022). Changed.
        steps: an int64 of one element. Changed.
        first: the mutex of the first byte of target's storage.
        lr: the learning rate.
        lr_decay: as ``torch.optim.Adagrad`` has it.
        eps: as ``torch.optim.Adagrad`` has it.
        maximize: as ``torch.optim.Adagrad`` has it.

    Example:
        >>> bank, weights = torch.ops.atomics.create_mutex(), torch.ones(3, 2)
        >>> sums, steps = torch.zeros(3, 2), torch.zeros(1, dtype=torch.int64)
        >>> index, gradients = torch.tensor([1]), torch.tensor([[1.0, -2.0]])
        >>> guarded_index_adagrad_(
        ...     bank, weights, 0, index, gradients, sums, steps, lr=0.5
        ... )
        tensor([[1.0000, 1.0000],
                [0.5000, 1.5000],
                [1.0000, 1.0000]])
    """
    _default.guarded_index_adagrad_(
        mutex,
        target,
        dim,
        index,
        source,
        state_sum,
        steps,
        first,
        lr=lr,
        lr_decay=lr_decay,
        eps=eps,
        maximize=maximize,
    )
    return target


def guarded_adam_(
    mutex: Tensor,
    params: Tensors,
    grads: Tensors,
    exp_avgs: Tensors,
    exp_avg_sqs: Tensors,
    max_exp_avg_sqs: Tensors,
    steps: Tensor,
    first: Sequence[int],
    *,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0,
    decoupled_weight_decay: bool = False,
    amsgrad: bool = False,
    maximize: bool = False,
) -> Tensors:
    """Step ``params`` as ``torch.optim.Adam`` or ``AdamW`` does and return them.

    Args:
        mutex: a bank, see :mod:`caffe2op_atomics.ops.guarded`.
        params: changed.
        grads: read.
        exp_avgs: changed.
        exp_avg_sqs: changed.
        max_exp_avg_sqs: changed; empty without amsgrad.
        steps: changed.
        first: for each parameter the mutex of the first byte of its storage.
        lr: the learning rate.
        beta1: the first of ``torch.optim.Adam``'s betas.
        beta2: the second.
        eps: as ``torch.optim.Adam`` has it.
        weight_decay: as ``torch.optim.Adam`` has it.
        decoupled_weight_decay: whether weights decay as ``torch.optim.AdamW`` has it.
        amsgrad: as ``torch.optim.Adam`` has it.
        maximize: as ``torch.optim.Adam`` has it.

    Example:
        >>> bank, weights = torch.ops.atomics.create_mutex(), torch.ones(2)
        >>> steps = torch.zeros(1, dtype=torch.int64)
        >>> gradients, moments = torch.tensor([1.0, -2.0]), (torch.zeros(2), torch.zeros(2))
        >>> guarded_adam_(
        ...     bank, [weights], [gradients], [moments[0]], [moments[1]], [], steps, [0], lr=0.5
        ... )
        [tensor([0.5000, 1.5000])]
    """
    _default.guarded_adam_(
        mutex,
        params,
        grads,
        exp_avgs,
        exp_avg_sqs,
        max_exp_avg_sqs,
        steps,
        first,
        lr=lr,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        weight_decay=weight_decay,
        decoupled_weight_decay=decoupled_weight_decay,
        amsgrad=amsgrad,
        maximize=maximize,
    )
    return params
