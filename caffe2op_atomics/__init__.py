"""Shared state that loses nothing, for threads and processes that train one model together.

Which to use: one number, a :class:`Counter`; a flag, an :class:`AtomicBool`; several things at
once, a :class:`Mutex`; elements of a tensor, the functions of :mod:`caffe2op_atomics.ops`; the
batches of a data set, a :class:`SharedBatchSampler`; inside TorchScript and C++, the registered ops
``torch.ops.atomics.*``; on several hosts, :mod:`caffe2op_atomics.distributed`.

    >>> import caffe2op_atomics as atomics
    >>> steps = atomics.Counter()
    >>> steps.next(), steps.next(), steps.value
    (0, 1, 2)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from . import _library

_library.load()

from . import _compile, _refusals, caffe2, ops, optim  # noqa: E402  (of what was just loaded)
from ._leftovers import LeftoverWarning  # noqa: E402
from ._library import library_path  # noqa: E402
from ._support import Support, is_supported  # noqa: E402
from ._torch_ops import torch_ops  # noqa: E402
from .atomic_bool import AtomicBool  # noqa: E402
from .counter import Counter  # noqa: E402
from .foreach import foreach_add_, snapshot  # noqa: E402
from .guarded_tensor import GuardedTensor  # noqa: E402
from .lost_updates import LostUpdates, check_lost_updates  # noqa: E402
from .mutex import Mutex, OwnerDiedError  # noqa: E402
from .names import NameInfo, list_names, unlink_name  # noqa: E402
from .sampler import SharedBatchSampler  # noqa: E402

if TYPE_CHECKING:
    from . import distributed

_refusals.install()
_compile.install()

__version__ = "0.1.0"

__all__ = [
    "AtomicBool",
    "Counter",
    "GuardedTensor",
    "LeftoverWarning",
    "LostUpdates",
    "Mutex",
    "NameInfo",
    "OwnerDiedError",
    "SharedBatchSampler",
    "Support",
    "caffe2",
    "check_lost_updates",
    "distributed",
    "foreach_add_",
    "is_supported",
    "library_path",
    "list_names",
    "ops",
    "optim",
    "snapshot",
    "torch_ops",
    "unlink_name",
]


def __getattr__(name: str) -> Any:
    if name == "distributed":  # for those who use it: not every torch can
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
