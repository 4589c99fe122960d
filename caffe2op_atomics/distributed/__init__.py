"""The same verbs for processes of several hosts, over what torch.distributed has.

:class:`Counter`, :class:`AtomicBool` and :class:`SharedBatchSampler` are in the c10d store that
torchrun and ``init_process_group`` set up, and are found by name:

    >>> store = torch.distributed.HashStore()  # the default group's, if none is given
    >>> Counter("steps", store=store).next()
    0

Each call is an answered request to the store's host, some ten microseconds on one host and what the
network takes to others. A store that dies, hangs or is cut off is a :class:`StoreDiedError` within
``timeout`` seconds, and nothing goes on with numbers of this process.

:class:`Replica` has weights and tables of several hosts follow each other, over the collectives of
the process group: each host trains on its own, and none waits for another.

There is no lock here. A lock that survives its holder has to be taken from a dead one, and whoever
seems dead may only be slow: it takes leases, and fencing tokens that what is guarded checks. The
store has neither. etcd (https://etcd.io) does; :class:`caffe2op_atomics.Mutex` is for one host.
"""

from __future__ import annotations

import torch.distributed

if not torch.distributed.is_available():
    raise ImportError(
        "caffe2op_atomics.distributed: torch must be built with torch.distributed, got one without"
    )

from ._host_group import host_group
from ._link import StoreDiedError
from ._peers import ReplicaError
from .atomic_bool import AtomicBool
from .counter import Counter
from .replica import Replica
from .sampler import SharedBatchSampler

__all__ = [
    "AtomicBool",
    "Counter",
    "Replica",
    "ReplicaError",
    "SharedBatchSampler",
    "StoreDiedError",
    "host_group",
]
