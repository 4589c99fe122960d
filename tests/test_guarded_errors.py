"""What the guarded ops refuse: the exact message, and not a byte changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from bad_arguments import (
    CONJUGATE,
    NEGATIVE,
    OVERLAPS,
    SHARES,
    conjugate,
    each_operand,
    misaligned,
    named,
    not_aligned,
    with_argument,
    without_memory,
)
from op_table import DTYPES, FUSED, GUARDED, INTEGERS, Op
from support import assert_refused
from torch import Tensor
from torch.utils._pytree import tree_map_only

from caffe2op_atomics import ops

atomics = torch.ops.atomics

F32 = torch.float32
READ = ("index", "other", "seen", "fresh", "source", "grads")  # and not written to
INDEXED = [op for op in GUARDED if "index" in op.name]
ON_LISTS = [op for op in FUSED if op not in INDEXED]
each_op = pytest.mark.parametrize("op", GUARDED, ids=lambda op: op.name)
each_indexed = pytest.mark.parametrize("op", INDEXED, ids=lambda op: op.name)
each_on_lists = pytest.mark.parametrize("op", ON_LISTS, ids=lambda op: op.name)


def refuse(op: Op, args: tuple[Any, ...], rule: str) -> None:
    assert_refused(op.overload, args, f"{op.name}: {rule}", **op.keywords)


def place_of(op: Op, name: str) -> int:
    return [argument.name for argument in op.overload._schema.arguments].index(name)


def each_tensor(op: Op, args: tuple[Any, ...]) -> Iterator[tuple[str, Tensor, Any]]:
    """Name and tensor of every argument but the mutex, and how to put in another; lists in turn."""
    for at, arg in enumerate(args):
        name = op.overload._schema.arguments[at].name
        if name != "mutex" and isinstance(arg, Tensor):
            yield name, arg, lambda other, at=at: with_argument(args, at, other)
        elif name != "mutex" and isinstance(arg, list) and isinstance(arg[0], Tensor):
            for k, each in enumerate(arg):
                yield (
                    name,
                    each,
                    lambda other, at=at, k=k: with_argument(
                        args, at, [*args[at][:k], other, *args[at][k + 1 :]]
                    ),
                )


@each_op
def test_misaligned_tensor_is_refused_by_its_name(op):
    for name, tensor, put in each_tensor(op, op.arguments(F32)):
        refuse(op, put(misaligned(tensor)), f"{name} {not_aligned(tensor.dtype)}")


@each_op
def test_tensor_whose_storage_shrank_is_refused_by_its_name(op):
    for name, tensor, put in each_tensor(op, op.arguments(F32)):
        for left in (0, tensor.nbytes - 1):
            rule = f"{name} must still have its memory, got a storage of {left} bytes"
            refuse(op, put(without_memory(tensor, left)), rule)


@each_op
def test_tensor_on_another_device_is_refused_by_its_name(op):
    """torch calls the Meta kernel then, which must not pass it for a trace."""
    likes = dict.fromkeys(("index", "other", "seen", "fresh"), "target")
    if op in INDEXED:
        likes["source"] = "target"
    for name, tensor, put in each_tensor(op, op.arguments(F32)):
        like = likes.get(name, "mutex")
        refuse(op, put(tensor.to("meta")), f"{name} must be on cpu like {like}, got meta")


@each_op
def test_negative_and_conjugate_views_are_refused(op):
    for _, tensor, put in each_tensor(op, op.arguments(F32)):
        refuse(op, put(torch._neg_view(tensor)), f"arguments {NEGATIVE.partition(' ')[2]}")
        refuse(op, put(conjugate()), f"arguments {CONJUGATE.partition(' ')[2]}")


@each_op
def test_none_is_refused(op):
    for name, _, put in each_tensor(op, op.arguments(F32)):
        with pytest.raises(RuntimeError, match=f"{name}|must be a tensor, got None"):
            op.overload(*put(None), **op.keywords)


@each_operand([op for op in GUARDED if op.name != "guarded_copy_"])
def test_operand_of_another_dtype_is_refused_by_its_name(op, position, name):
    for dtype in op.dtypes:
        another = DTYPES[DTYPES.index(dtype) - 1]
        args = op.arguments(dtype)
        rule = f"{name} must have dtype {named(dtype)} like target, got {named(another)}"
        for device in ("cpu", "meta"):
            there = tree_map_only(Tensor, lambda each, to=device: each.to(to), args)
            there = args if device == "cpu" else there
            refuse(op, with_argument(there, position, there[position].to(another)), rule)


@each_operand([op for op in GUARDED if "copy" not in op.name and op not in INDEXED])
def test_operand_that_does_not_broadcast_is_refused(op, position, name):
    args = with_argument(op.arguments(F32), position, torch.zeros(2))
    refuse(op, args, f"{name} must broadcast to target's shape [2, 3], got [2]")


@each_operand([op for op in GUARDED if op.name != "guarded_copy_"])
def test_operand_that_shares_memory_with_target_is_refused(op, position, name):
    base = torch.zeros(5, 3)
    args = with_argument(op.arguments(F32), 1, base[:2])
    source = base[1:4] if op in INDEXED else base[1]
    refuse(op, with_argument(args, position, source), f"{name} {SHARES}")


@each_op
def test_what_overlaps_itself_is_refused(op):
    for name, tensor, put in each_tensor(op, op.arguments(F32)):
        if name in READ or name == "steps":  # which has one dimension
            continue
        if op.name == "guarded_load" or (op.name == "guarded_copy_" and name == "target"):
            continue
        wide = torch.zeros(1, 3).expand(tensor.shape)
        refuse(op, put(wide), OVERLAPS.replace("target", name, 1))


@pytest.mark.parametrize("first", [-1, -(2**63), 2**32])
@each_op
def test_first_outside_its_range_is_refused(op, first):
    at = place_of(op, "first")
    args, keywords = op.arguments(F32), dict(op.keywords)
    if at < len(args):
        args = with_argument(args, at, [first] * len(args[at]))
    else:
        keywords["first"] = first
    rule = f"first must lie in [0, 2**32), got {first}"
    assert_refused(op.overload, args, f"{op.name}: {rule}", **keywords)


def with_mutex(op: Op, mutex: Tensor) -> tuple[Any, ...]:
    args = op.arguments(F32)
    return with_argument(args, 0, [mutex] if isinstance(args[0], list) else mutex)


@each_op
@pytest.mark.parametrize(
    ("mutex", "rule"),
    [
        (lambda: torch.zeros(2, 128).byte(), "be made by create_mutex, got memory that holds no"),
        (lambda: torch.zeros(128), "have dtype uint8, got float32"),
        (lambda: atomics.create_mutex(2)[:0], "be contiguous with 128 bytes for each mutex, got s"),
        (lambda: atomics.create_mutex(2)[:, :100], "be contiguous with 128 bytes for each mutex,"),
        (
            lambda: atomics.create_mutex(2).clone(),
            "be the memory that create_mutex or .*, got a copy",
        ),
    ],
)
def test_what_is_no_bank_is_refused(op, mutex, rule):
    args = with_mutex(op, mutex())
    with pytest.raises(RuntimeError, match=f"^{op.name}: mutex must {rule}"):
        op.overload(*args, **op.keywords)


@each_op
def test_bank_of_which_the_thread_holds_a_mutex_is_refused(op):
    bank = atomics.create_mutex(3)
    atomics.mutex_lock(bank, 2)
    rule = "mutex must have no mutex that the calling thread holds, got one that it holds"
    refuse(op, with_mutex(op, bank), rule)
    atomics.mutex_unlock(bank, 2)
    op.overload(*with_mutex(op, bank), **op.keywords)


@each_op
def test_what_lies_in_the_mutex_is_refused(op):
    bank = atomics.create_mutex(3)
    rule = "must not share memory with mutex, got an overlapping tensor"
    for name, tensor, put in each_tensor(op, with_mutex(op, bank)):
        if name in READ or (op.name, name) == ("guarded_copy_", "target"):
            continue
        inside = bank.view(-1)[: tensor.nbytes].view(tensor.dtype).view(tensor.shape)
        refuse(op, put(inside), f"{name} {rule}")


@each_indexed
@pytest.mark.parametrize("rows", [2, 70_000])
@pytest.mark.parametrize("bad", [-1, 70_000, 2**32])
def test_index_out_of_range_is_refused_and_nothing_changed(op, bad, rows):
    dtypes = (F32, torch.int64) if op not in FUSED else (F32,)
    for dtype in dtypes:
        for shape in ((rows,), (rows, 3)):
            args = op.arguments(dtype)
            index, source = torch.tensor([1, bad, 0]), torch.ones(3, *shape[1:], dtype=dtype)
            args = (args[0], torch.zeros(shape, dtype=dtype), 0, index, source, *args[5:])
            if op in FUSED:
                args = with_argument(args, 5, torch.zeros(shape))
            refuse(op, args, f"index must lie in [0, {rows}), got {bad}")


@each_indexed
def test_shapes_of_an_indexed_op_are_refused(op):
    args = op.arguments(F32)
    for at, argument, rule in [
        (1, torch.zeros(()), "target must have at least one dimension, got shape []"),
        (2, 1, "dim must be 0, got 1"),
        (3, torch.zeros(1, 3).long(), "index must have one dimension, got shape [1, 3]"),
        (3, torch.zeros(3), "index must have dtype int32 or int64, got float32"),
        (4, torch.zeros(3), "source must have shape [3, 3], got [3]"),
    ]:
        refuse(op, with_argument(args, at, argument), rule)


def test_alpha_of_an_integer_target_is_whole():
    rule = "alpha must be an integer of magnitude below 2**31 for int32 targets, got 0.500000"
    target, one = torch.zeros(3, dtype=torch.int32), torch.ones(3, dtype=torch.int32)
    bank, index = atomics.create_mutex(), torch.arange(3)
    assert_refused(atomics.guarded_add_, (bank, target, one, 0.5), f"guarded_add_: {rule}")
    args = (bank, target, 0, index, one, 0.5)
    assert_refused(atomics.guarded_index_add_, args, f"guarded_index_add_: {rule}")


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_wrappers_refuse_a_number_that_does_not_fit(dtype):
    bank, target = atomics.create_mutex(), torch.zeros(3, dtype=dtype)
    for call, name in [
        (lambda n: ops.guarded_add_(bank, target, n), "other"),
        (lambda n: ops.guarded_store_(bank, target, n), "other"),
        (lambda n: ops.guarded_exchange(bank, target, n), "other"),
        (lambda n: ops.guarded_index_add_(bank, target, 0, torch.tensor([0]), n), "source"),
    ]:
        with pytest.raises(ValueError, match=f"{name} must be an integer for .*, got 0.5"):
            call(0.5)
        with pytest.raises(ValueError, match=f"{name} must fit in {named(dtype)}"):
            call(2**63)
