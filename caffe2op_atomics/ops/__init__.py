"""Atomic operations on tensors, with the names of the registered ``torch.ops.atomics.*``.

The contract that all functions share:

* ``target`` is a CPU tensor (or a CUDA one: docs/cuda.md has what is other there) of any shape, of
  dtype bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64; ``and``,
  ``or`` and ``xor`` are for bool and integers, sums for all but bool. It is changed in place,
  through its strides if it has any, element by element: each element is updated atomically, a whole
  tensor is not. It must be aligned and must not overlap itself. All of it is lock-free (see
  :func:`caffe2op_atomics.is_supported`).
* ``other`` (``expected``, ``desired``, ``limit``) has target's dtype and device and broadcasts to
  target's shape, or is a number. It must not share memory with target.
* A name that ends in ``_`` changes target and returns it. ``fetch_*``, ``exchange`` and
  ``compare_exchange`` change it and return what was there before, in a new contiguous tensor.
* Integers wrap on overflow. A sum of float16 or bfloat16 is calculated in float32 and rounded once.
  A minimum or maximum with a NaN is NaN, as ``torch.minimum`` and ``torch.maximum`` have it.
* Gradients are neither recorded nor propagated, parameters are taken without complaint, and
  ``target._version`` does not change.
* ``index_*`` functions take ``dim`` 0, an ``index`` of one dimension, int32 or int64, with values
  in ``[0, target.size(0))``, and a ``source`` of shape ``[len(index), *target.shape[1:]]``, or a
  number for all of it. Every occurrence of an index counts. All indices are read once and checked
  before the first write. What a call does and returns is what its indices do in their order, one
  after the other, whatever the number of threads and whether
  ``torch.use_deterministic_algorithms`` is set or not; only floating-point sums are taken together
  for each row first, in that order, then multiplied by alpha and added to the row once: their last
  digits may differ from ``torch.Tensor.index_add_``, and a sum beyond the largest number of
  ``source``'s dtype (of float32 for 16-bit floats) is infinite.
* Large calls use torch's intra-op threads, as many as ``torch.set_num_threads`` says, except in a
  forked child, where starting them would hang.
* Memory order: sequentially consistent for one-element targets, acquire-release per element for
  larger ones (``std::memory_order`` of C++20).
* ``scope`` is ``"system"``, or ``"device"`` where nothing but kernels of one process on one GPU
  touches a CUDA target at the same time. On the CPU both are the same.
* All threads and processes that touch target at the same time must do it through atomics. A plain
  torch operation beside them reads whole elements, but what it writes may be lost.

``guarded_*`` functions change a tensor under the locks of a bank of mutexes instead: see
:mod:`caffe2op_atomics.ops.guarded`, and for the steps of optimizers
:mod:`caffe2op_atomics.ops.fused`.

Raises, before anything is changed:
    RuntimeError: ``<op>: <argument> must <rule>, got <actual>`` for a tensor argument.
    TypeError, ValueError: for a number that target's dtype cannot hold, or an unknown scope.
"""

from __future__ import annotations

from .access import compare_exchange, exchange, load, store_
from .fetch import (
    fetch_add,
    fetch_add_below,
    fetch_add_checked,
    fetch_and,
    fetch_max,
    fetch_min,
    fetch_or,
    fetch_sub,
    fetch_xor,
)
from .fused import (
    guarded_adagrad_,
    guarded_adam_,
    guarded_index_adagrad_,
    guarded_sgd_,
)
from .guarded import (
    guarded_add_,
    guarded_copy_,
    guarded_exchange,
    guarded_index_add_,
    guarded_load,
    guarded_rebase_,
    guarded_store_,
)
from .handles import (
    handle,
    handle_add_,
    handle_after,
    handle_fetch_add,
    handle_guarded_add_,
    handle_load,
    handle_release,
    handle_store_,
)
from .indexed import (
    index_add_,
    index_and_,
    index_compare_exchange,
    index_exchange,
    index_fetch_add,
    index_max_,
    index_min_,
    index_or_,
)
from .update import add_, and_, max_, min_, or_, sub_, xor_
from .waiting import notify, wait

__all__ = [
    "add_",
    "and_",
    "compare_exchange",
    "exchange",
    "fetch_add",
    "fetch_add_below",
    "fetch_add_checked",
    "fetch_and",
    "fetch_max",
    "fetch_min",
    "fetch_or",
    "fetch_sub",
    "fetch_xor",
    "guarded_adagrad_",
    "guarded_adam_",
    "guarded_add_",
    "guarded_copy_",
    "guarded_exchange",
    "guarded_index_adagrad_",
    "guarded_index_add_",
    "guarded_load",
    "guarded_rebase_",
    "guarded_sgd_",
    "guarded_store_",
    "handle",
    "handle_add_",
    "handle_after",
    "handle_fetch_add",
    "handle_guarded_add_",
    "handle_load",
    "handle_release",
    "handle_store_",
    "index_add_",
    "index_and_",
    "index_compare_exchange",
    "index_exchange",
    "index_fetch_add",
    "index_max_",
    "index_min_",
    "index_or_",
    "load",
    "max_",
    "min_",
    "notify",
    "or_",
    "store_",
    "sub_",
    "wait",
    "xor_",
]
