"""What ops on handles refuse, before anything is changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.multiprocessing as mp
from op_table import orphaned_mutex
from support import TIMEOUT
from torch import Tensor

from caffe2op_atomics import ops

atomics = torch.ops.atomics

UNKNOWN = "handle must name a tensor that is registered in this process"
ONES = torch.ones(3)


def refused(handle: Tensor, rule: str, op: Callable[..., object] = ops.handle_add_) -> None:
    with pytest.raises(RuntimeError, match=f"^{op.__name__}: {rule}"):
        op(handle, ONES)


@pytest.mark.parametrize("number", [0, 1, -1, 2**62, -(2**63)])
def test_number_that_names_nothing_is_refused(number):
    refused(torch.tensor(number), UNKNOWN)


def test_what_is_no_handle_is_refused():
    refused(torch.zeros(3), "handle must have dtype int64, got float32")
    refused(torch.zeros(3).long(), r"handle must have one element, got shape \[3\]")


def test_what_does_not_fit_is_refused():
    handle = ops.handle(torch.zeros(2))
    with pytest.raises(
        RuntimeError, match=r"^handle_add_: other must broadcast to target's shape \[2\]"
    ):
        ops.handle_add_(handle, ONES)
    with pytest.raises(RuntimeError, match=r"^handle_add_: other must have dtype float32 like"):
        ops.handle_add_(handle, torch.ones(2).long())
    for other in (torch.ones(()), torch.ones(1, 2)):
        with pytest.raises(RuntimeError, match=r"^handle_fetch_add: other must have shape \[2\]"):
            ops.handle_fetch_add(handle, other)
    with pytest.raises(RuntimeError, match=r"^handle_load: size must be target's shape, \[2\]"):
        ops.handle_load(handle, [1], torch.float32)
    with pytest.raises(RuntimeError, match=r"^handle_load: dtype must be target's, float32, got"):
        ops.handle_load(handle, [2], torch.float64)
    assert ops.handle_load(handle, [2], torch.float32).tolist() == [0, 0]


def test_list_is_refused_before_anything_is_changed():
    bank = atomics.create_mutex()
    targets = [torch.zeros(2), torch.zeros(3)]
    first, second = (ops.handle(target, mutex=bank) for target in targets)
    two = torch.ones(2)
    for handles, others, error, text in [
        ([first, second], [two], RuntimeError, "other must have 2 elements like handle, got 1"),
        ([first, second], [two, two], RuntimeError, r"others\[1\] must broadcast to target's"),
        ([first, second], [two, ONES.long()], RuntimeError, r"others\[1\] must have dtype"),
        (
            [first, second],
            [two, ONES.to("meta")],
            RuntimeError,
            "others must be on cpu like handle",
        ),
        ([first, ops.handle(ONES)], [two, ONES], RuntimeError, "handle must be of a guarded"),
        ([first, torch.tensor(1)], [two, ONES], RuntimeError, UNKNOWN),
        ([first, second], [two, 1.0], TypeError, r"other\[1\] must be a Tensor, got float"),
        ([first, 1], [two, ONES], TypeError, r"handle\[1\] must be a Tensor, got int"),
        ([first], torch.ones(1, 2), TypeError, "other must be a sequence, got Tensor"),
        (None, [two], TypeError, "handle must be a sequence, got NoneType"),
        ([first] * 65537, [two] * 65537, RuntimeError, "others must have at most 65536 elements"),
    ]:
        with pytest.raises(error, match=f"^handle_guarded_add_: {text}"):
            ops.handle_guarded_add_(handles, others)
    assert [target.sum().item() for target in targets] == [0, 0]
    ops.handle_guarded_add_([], [])


def test_list_is_refused_if_a_mutex_is_lost():
    """Of the last stripe of a later target: the first one stays as it is."""
    lost = orphaned_mutex(2)
    atomics.mutex_unlock(lost, 1)
    targets = [torch.zeros(3), torch.zeros(5000)]
    handles = [ops.handle(target, mutex=lost) for target in targets]
    rule = "mutex must not be lost, got mutex 1, one"
    with pytest.raises(RuntimeError, match=f"^handle_guarded_add_: {rule}"):
        ops.handle_guarded_add_(handles, [ONES, torch.ones(5000)])
    assert [target.sum().item() for target in targets] == [0, 0]
    ops.handle_guarded_add_(handles[:1], [ONES])
    assert targets[0].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "op", [ops.handle_store_, ops.handle_add_, ops.handle_fetch_add, ops.handle_guarded_add_]
)
def test_meta_operand_does_not_make_a_call_do_nothing(op):
    target = torch.zeros(3)
    bank = atomics.create_mutex() if op is ops.handle_guarded_add_ else None
    with pytest.raises(RuntimeError, match=f"^{op.__name__}: other must be on cpu like handle, go"):
        op(ops.handle(target, mutex=bank), ONES.to("meta"))
    assert target.tolist() == [0, 0, 0]


def test_handle_is_for_locks_or_for_none():
    target, bank = torch.zeros(3), atomics.create_mutex()
    refused(
        ops.handle(target),
        "handle must be of a guarded tensor, got one of a tensor without a mutex",
        ops.handle_guarded_add_,
    )
    handle = ops.handle(target, mutex=bank)
    rule = "handle must be of a tensor without a mutex, got one of a guarded tensor"
    for op in (ops.handle_add_, ops.handle_store_, ops.handle_fetch_add):
        refused(handle, rule, op)
    with pytest.raises(RuntimeError, match=f"^handle_load: {rule}"):
        ops.handle_load(handle, [3], torch.float32)
    with pytest.raises(
        TypeError, match=r"^handle: first must be given with a mutex, got 1 without"
    ):
        ops.handle(target, first=1)
    assert target.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "move",
    [
        lambda tensor: tensor.share_memory_(),
        lambda tensor: tensor.set_(torch.zeros(3)),
        lambda tensor: setattr(tensor, "data", torch.zeros(3)),
        lambda tensor: tensor.resize_(2**20),
    ],
)
def test_tensor_that_moved_is_refused(move):
    target = torch.zeros(3)
    handle = ops.handle(target)
    move(target)
    refused(handle, "handle must name a tensor that stays where it was registered, got one that")
    ops.handle_release(handle)


def test_storage_that_shrank_is_refused():
    target = torch.zeros(3).share_memory_()
    handle = ops.handle(target)
    target.untyped_storage().resize_(0)
    with pytest.raises(RuntimeError):
        ops.handle_add_(handle, ONES)


def use_sent(handle: Tensor, queue) -> None:
    ops.handle(torch.zeros(3))  # slots are taken here, too
    try:
        ops.handle_add_(handle, ONES)
    except RuntimeError as error:
        queue.put(str(error).splitlines()[0])


def test_handle_that_was_sent_is_refused():
    context = mp.get_context("spawn")
    queue = context.SimpleQueue()
    process = context.Process(target=use_sent, args=(ops.handle(torch.zeros(3)), queue))
    process.start()
    assert queue.get().startswith(f"handle_add_: {UNKNOWN}")
    process.join(TIMEOUT)
