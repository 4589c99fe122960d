"""``torch.ops.atomics`` by a name whose types are known to type checkers and editors.

torch says of everything in ``torch.ops`` that it takes and returns anything. This is the same
object, so that it works wherever that does, in TorchScript and in graphs too.

Example:
    >>> from caffe2op_atomics import torch_ops
    >>> count = torch.zeros((), dtype=torch.int64)
    >>> torch_ops.fetch_add.int(count, 2), torch_ops.load.int(count)
    (0, 2)
"""

from __future__ import annotations

import torch

from . import _library

torch_ops = getattr(torch.ops, _library.NAMESPACE)
torch_ops.__doc__ = __doc__
