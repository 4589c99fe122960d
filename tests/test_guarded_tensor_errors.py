"""What GuardedTensor and snapshot refuse, in which words."""

from __future__ import annotations

import re

import pytest
import torch
from bad_arguments import without_memory
from torch.testing._internal.two_tensor import TwoTensor

from caffe2op_atomics import GuardedTensor, snapshot


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: GuardedTensor(torch.zeros(1), dtype=torch.float32),
            TypeError,
            "GuardedTensor: dtype must not be given with a tensor, got both",
        ),
        (
            lambda: GuardedTensor([1], bank=torch.zeros(1)),
            TypeError,
            "GuardedTensor: bank must be a GuardedTensor, got Tensor",
        ),
        (
            lambda: GuardedTensor([1], bank=GuardedTensor([1]), name="x"),
            TypeError,
            "GuardedTensor: bank must not be given with name, got both",
        ),
        (
            lambda: GuardedTensor(5),
            TypeError,
            "GuardedTensor: data must be a tensor or a shape, got int",
        ),
        (
            lambda: GuardedTensor([1.5, 2]),
            TypeError,
            "GuardedTensor: data must be a tensor or a shape, got [1.5, 2]",
        ),
        (
            lambda: GuardedTensor("12"),
            TypeError,
            "GuardedTensor: data must be a tensor or a shape, got '12'",
        ),
        (
            lambda: GuardedTensor(torch.zeros(2, device="meta")),
            RuntimeError,
            "GuardedTensor: data must be on cpu, got meta",
        ),
        (
            lambda: GuardedTensor(torch.zeros(2).to_sparse()),
            RuntimeError,
            "GuardedTensor: data must be a dense tensor, got layout sparse_coo",
        ),
        (
            lambda: GuardedTensor(torch.nested.nested_tensor([torch.zeros(2)])),
            RuntimeError,
            "GuardedTensor: data must be a dense tensor, got a nested one",
        ),
        (
            lambda: GuardedTensor(TwoTensor(torch.zeros(2), torch.zeros(2))),
            RuntimeError,
            "GuardedTensor: data must have memory of its own, got a TwoTensor without",
        ),
        (
            lambda: GuardedTensor(torch._efficientzerotensor(2)),
            RuntimeError,
            "GuardedTensor: data must have memory of its own, got a Tensor without",
        ),
        (
            lambda: GuardedTensor(without_memory(torch.zeros(2), 4)),
            RuntimeError,
            "GuardedTensor: data must have memory of its own, got a Tensor without",
        ),
        (
            lambda: GuardedTensor([2], dtype=torch.complex64),
            RuntimeError,
            "GuardedTensor: data must have a dtype that the ops take, got complex64",
        ),
        (
            lambda: GuardedTensor(torch._neg_view(torch.zeros(2))),
            RuntimeError,
            "GuardedTensor: data must not be a negative view, got one",
        ),
        (
            lambda: GuardedTensor([1] * 9),
            RuntimeError,
            "GuardedTensor: data must have at most 8 dimensions, got 9",
        ),
        (
            lambda: GuardedTensor([1], name=7),
            TypeError,
            "GuardedTensor: name must be a string, got int",
        ),
        (
            lambda: GuardedTensor([1], name="a/b"),
            ValueError,
            "GuardedTensor: name must have 1 to 200 characters of A-Z a-z 0-9 . _ -, got 'a/b'",
        ),
        (
            lambda: GuardedTensor([1]).unlink(),
            RuntimeError,
            "unlink: GuardedTensor must have a name, got one without",
        ),
        (
            lambda: GuardedTensor([2]).add_("1"),
            TypeError,
            "guarded_add_: other must be a tensor or a number, got str",
        ),
        (
            lambda: GuardedTensor([2], dtype=torch.int32).store_(0.5),
            ValueError,
            "guarded_store_: other must be an integer for int32 targets, got 0.5",
        ),
        (
            lambda: GuardedTensor([2]).exchange(torch.zeros(2, dtype=torch.int32)),
            RuntimeError,
            "guarded_exchange: other must have dtype float32 like target, got int32",
        ),
        (
            lambda: GuardedTensor([2]).index_add_(1, torch.tensor([0]), 1),
            RuntimeError,
            "guarded_index_add_: dim must be 0, got 1",
        ),
        (
            lambda: GuardedTensor([2]).index_add_(0, [0], 1),
            TypeError,
            "guarded_index_add_: index must be a tensor, got list",
        ),
        (
            lambda: snapshot(),
            TypeError,
            "snapshot: arguments must be at least one GuardedTensor, got none",
        ),
        (
            lambda: snapshot(GuardedTensor([1]), torch.zeros(1)),
            TypeError,
            "snapshot: arguments[1] must be a GuardedTensor, got Tensor",
        ),
    ],
)
def test_is_refused(call, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        call()
