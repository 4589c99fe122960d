"""Lists, moments and steps that the fused ops and guarded_copy_ refuse, before anything changes."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from bad_arguments import named, with_argument
from op_table import FUSED, GUARDED, Op, orphaned_mutex
from support import assert_refused
from test_guarded_errors import ON_LISTS, each_on_lists, each_tensor, place_of, refuse
from torch import Tensor
from torch.utils._pytree import tree_leaves

atomics = torch.ops.atomics

F32 = torch.float32
COPY = next(op for op in GUARDED if op.name == "guarded_copy_")
INDEX_ADAGRAD = next(op for op in FUSED if op not in ON_LISTS)

READ = ("grads", "steps")


def moments(op: Op) -> list[str]:
    return [a.name for a in op.overload._schema.arguments[3 : place_of(op, "steps")]]


@each_on_lists
def test_list_of_another_length_is_refused_by_its_name(op):
    args = op.arguments(F32)
    for name in ["grads", *moments(op), "first"]:
        at = place_of(op, name)
        for wrong in (args[at][:1], args[at] * 2, []):
            rule = f"{name} must have 2 elements like params, got {len(wrong)}"
            refuse(op, with_argument(args, at, wrong), rule)
    refuse(op, with_argument(args, 1, []), "grads must have 0 elements like params, got 2")


@pytest.mark.parametrize("steps", [torch.zeros(3).long(), torch.zeros(()).long()])
@each_on_lists
def test_steps_of_another_number_are_refused(op, steps):
    rule = f"contiguous with one element for each of params, 2, got shape {list(steps.shape)}"
    refuse(
        op, with_argument(op.arguments(F32), place_of(op, "steps"), steps), f"steps must be {rule}"
    )


@each_on_lists
def test_steps_with_strides_or_of_another_dtype_are_refused(op):
    args, at = op.arguments(F32), place_of(op, "steps")
    rule = "steps must be contiguous with one element for each of params, 2, got shape [2]"
    refuse(op, with_argument(args, at, torch.zeros(4).long()[::2]), rule)
    refuse(op, with_argument(args, at, torch.zeros(2)), "steps must have dtype int64, got float32")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
@each_on_lists
def test_gradient_of_another_dtype_is_refused(op, dtype):
    args = op.arguments(F32)
    for k in range(2):
        grads = list(args[2])
        grads[k] = grads[k].to(dtype)
        rule = f"grads must have dtype float32 like params, got {named(dtype)}"
        refuse(op, with_argument(args, 2, grads), rule)


@each_on_lists
def test_moment_of_another_dtype_is_refused_and_named_for_its_parameter(op):
    for dtype in op.dtypes:
        moment = torch.float32 if dtype == torch.bfloat16 else dtype
        wrong = torch.float64 if moment == F32 else F32
        args = op.arguments(dtype)
        for name in moments(op):
            at = place_of(op, name)
            rule = f"{name} must have dtype {named(moment)} for {named(dtype)} params"
            moved = [each.to(wrong) for each in args[at]]
            refuse(op, with_argument(args, at, moved), f"{rule}, got {named(wrong)}")


@each_on_lists
def test_gradient_or_moment_of_another_shape_is_refused(op):
    """No broadcasting, and also not of as many elements."""
    for shape in [(3,), (3, 2), (1, 3), ()]:
        for name, _, put in each_tensor(op, op.arguments(F32)):
            if name not in ("params", "steps"):
                rule = f"{name} must have shape [2, 3] like params, got {list(shape)}"
                refuse(op, put(torch.zeros(shape)), rule)


@each_on_lists
def test_gradient_or_moment_that_shares_memory_with_its_parameter_is_refused(op):
    args = op.arguments(F32)
    base = torch.zeros(3, 3)
    args = with_argument(args, 1, [args[1][0], base[:2]])
    for name in ["grads", *moments(op)]:
        at = place_of(op, name)
        rule = f"{name} must not share memory with params, got an overlapping tensor"
        refuse(op, with_argument(args, at, [args[at][0], base[1:]]), rule)


@each_on_lists
def test_moment_that_shares_memory_with_its_gradient_or_another_moment_is_refused(op):
    args = op.arguments(F32)
    names = ["grads", *moments(op)]
    for k, name in enumerate(names):
        for later in names[k + 1 :]:
            refused, kept = (name, later) if name == "grads" else (later, name)
            rule = f"{refused} must not share memory with {kept}, got an overlapping tensor"
            shared = args[place_of(op, name)]
            refuse(op, with_argument(args, place_of(op, later), shared), rule)


def test_state_sum_of_rows_that_lies_in_the_source_or_the_index_is_refused():
    args = INDEX_ADAGRAD.arguments(F32)
    source, index = args[4], args[3]
    for name, other in (("source", source.view(-1)), ("index", index.view(F32))):
        rule = f"{name} must not share memory with state_sum, got an overlapping tensor"
        refuse(INDEX_ADAGRAD, with_argument(args, 5, other[:2]), rule)


@pytest.mark.parametrize(
    ("op", "option", "name"),
    [
        ("guarded_sgd_", "momentum", "momentum_buffers"),
        ("guarded_adam_", "amsgrad", "max_exp_avg_sqs"),
    ],
)
def test_list_without_its_option_is_refused(op, option, name):
    op = next(each for each in ON_LISTS if each.name == op)
    assert_refused(
        op.overload,
        op.arguments(F32),
        f"{op.name}: {name} must be empty without {option}, got 2 elements",
        lr=1,
    )


@each_on_lists
def test_learning_rate_has_no_default(op):
    with pytest.raises(RuntimeError, match="missing value for argument 'lr'"):
        op.overload(*op.arguments(F32))


@each_on_lists
def test_lists_of_nothing_are_a_step_of_nothing(op):
    lists = [[] for _ in range(place_of(op, "steps") - 1)]
    bank, steps = atomics.create_mutex(), torch.zeros(0, dtype=torch.int64)
    op.overload(bank, *lists, steps, [], **op.keywords)


@pytest.mark.parametrize(
    ("state_sum", "rule"),
    [
        (
            torch.zeros(3),
            "have target's shape, or one element for each of its 2 rows, got shape [3]",
        ),
        (torch.zeros(2, 1), "have shape [2, 3] like target, got [2, 1]"),
        (torch.zeros(2).double(), "have dtype float32 like target, got float64"),
        (torch.zeros(2, 3).double(), "have dtype float32 for float32 params, got float64"),
        (
            torch.zeros(1).expand(2),
            "not overlap itself, got several indices for one memory location",
        ),
    ],
)
def test_state_sum_of_rows_is_refused(state_sum, rule):
    args = with_argument(INDEX_ADAGRAD.arguments(F32), 5, state_sum)
    refuse(INDEX_ADAGRAD, args, f"state_sum must {rule}")


def copy_arguments(**other: object) -> tuple[object, ...]:
    bank, a, b = atomics.create_mutex(2), torch.zeros(3), torch.ones(3)
    arguments = {"mutex": [bank], "target": [a], "first": [0], "out": [b], "source": [a]}
    return tuple((arguments | other).values())


TWO = [torch.zeros(3), torch.zeros(3)]


@pytest.mark.parametrize(
    ("other", "rule"),
    [
        ({"target": TWO}, "first must have 2 elements like target, got 1"),
        ({"first": []}, "first must have 1 elements like target, got 0"),
        ({"source": TWO}, "source must have 1 elements like out, got 2"),
        ({"mutex": []}, "mutex must have 1 elements like target, got 0"),
        ({"mutex": [atomics.create_mutex()] * 3}, "mutex must have 1 elements like target, got 3"),
        ({"source": [torch.zeros(2)]}, "source must have shape [3] like out, got [2]"),
        ({"source": [torch.zeros(3).int()]}, "source must have dtype float32 like out, got int32"),
    ],
)
def test_guarded_copy_refuses(other, rule):
    refuse(COPY, copy_arguments(**other), rule)


def test_guarded_copy_refuses_a_source_that_shares_memory_with_its_out():
    base = torch.zeros(6)
    rule = "source must not share memory with out, got an overlapping tensor"
    refuse(COPY, copy_arguments(out=[base[:4]], source=[base[2:]]), rule)


def full(bank: Tensor) -> Tensor:
    """A target that has all mutexes of a bank."""
    return torch.zeros(bank.size(0) * 16384, dtype=torch.uint8)


def test_more_than_1024_mutexes_are_not_held_together():
    """The kernel recovers 2048 of a dead thread, half of which Mutexes may take."""
    banks = [atomics.create_mutex(n) for n in (1024, 1)]
    out, source = [torch.zeros(1)], [torch.ones(1)]
    targets = [full(bank) for bank in banks]
    with pytest.raises(RuntimeError) as caught:
        atomics.guarded_copy_(banks, targets, [0, 0], out, source)
    rule = "be under at most 1024 mutexes together (as those are that share one bank), got 1025"
    assert str(caught.value).splitlines()[0] == f"guarded_copy_: targets must {rule}"
    assert out[0] == 0
    # And none is left held.
    assert [atomics.mutex_owner(banks[0], i) for i in (0, 1023)] == [0, 0]
    atomics.guarded_copy_(banks[:1], targets[:1], [0], out, source)
    assert out[0] == 1


def refuse_lost(op: Op, args: tuple[Any, ...], i: int) -> None:
    tensors = [each for each in tree_leaves(args[1:]) if isinstance(each, Tensor)]
    before = [each.clone() for each in tensors]
    rule = f"{op.name}: mutex must not be lost, got mutex {i}, one that was unlocked after a holder"
    with pytest.raises(RuntimeError, match=f"^{re.escape(rule)}"):
        op.overload(*args, **op.keywords)
    assert all(map(torch.equal, tensors, before))


@pytest.mark.parametrize("op", FUSED, ids=lambda op: op.name)
def test_step_under_a_lost_mutex_changes_and_counts_nothing(op):
    lost = orphaned_mutex()
    atomics.mutex_unlock(lost)
    refuse_lost(op, with_argument(op.arguments(F32), 0, lost), 0)


@each_on_lists
def test_lost_mutex_of_the_last_parameter_is_found_before_the_first_is_changed(op):
    lost = orphaned_mutex(2)
    atomics.mutex_unlock(lost, 1)
    args = with_argument(op.arguments(F32), 0, lost)
    refuse_lost(op, with_argument(args, place_of(op, "first"), [0, 1]), 1)


def test_lost_mutex_of_a_stripe_is_found_before_the_first_row_is_changed():
    lost = orphaned_mutex(2)
    atomics.mutex_unlock(lost, 1)
    table, index, rows = torch.zeros(2, 4096), torch.arange(2), torch.ones(2, 4096)
    args = (lost, table, 0, index, rows, torch.zeros(2), torch.zeros(1).long(), 0)
    refuse_lost(INDEX_ADAGRAD, args, 1)
