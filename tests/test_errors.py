"""Tensor arguments that the dense ops refuse: the exact message, and not a byte changed."""

from __future__ import annotations

import itertools
from operator import mul
from pathlib import Path
from random import Random

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
    packet,
    with_argument,
    with_operands,
    without_memory,
)
from op_table import CAFFE2, DENSE, INDEXED, MUTEX, NUMBER, NUMBERS, WAIT, row
from support import assert_refused
from torch import Tensor

from caffe2op_atomics import library_path

atomics = torch.ops.atomics

# All but load.
CHANGING = [op for op in DENSE if op.takes_operands]

each_changing = pytest.mark.parametrize("op", CHANGING, ids=lambda op: op.name)
each_number = pytest.mark.parametrize("op", NUMBER, ids=lambda op: op.name)

STATE = [op for op in WAIT + MUTEX + CAFFE2 if not op.name.startswith("create")]
each_unguarded = pytest.mark.parametrize(
    "op", DENSE + NUMBER + INDEXED + STATE, ids=lambda op: op.name
)


@each_operand(DENSE)
def test_operand_that_does_not_broadcast_is_refused_by_its_name(op, position, name):
    for dtype in op.dtypes:
        for target, operand in [((2, 3), (2,)), ((3,), (1, 3)), ((0,), (2,)), ((), (1,))]:
            cells = torch.zeros(target, dtype=dtype)
            args = with_operands(op, cells, torch.zeros((), dtype=dtype))
            assert_refused(
                op.overload,
                with_argument(args, position, torch.zeros(operand, dtype=dtype)),
                f"{op.name}: {name} must broadcast to target's shape {list(target)}, "
                f"got {list(operand)}",
            )


@each_changing
def test_target_that_overlaps_itself_is_refused(op):
    for dtype in op.dtypes:
        for target in [
            torch.zeros(1, dtype=dtype).expand(3),
            torch.zeros(8, dtype=dtype).as_strided((2, 3), (2, 2)),
        ]:
            args = with_operands(op, target, row(dtype))
            assert_refused(op.overload, args, f"{op.name}: {OVERLAPS}")


@each_operand(DENSE)
def test_operand_that_shares_memory_with_target_is_refused_by_its_name(op, position, name):
    for dtype in op.dtypes:
        base = torch.zeros(8, dtype=dtype)
        for target, operand in [
            (base, base),
            (base[:4], base[3:7]),
            (base[::2], base[2:6]),
            (base.view(2, 4), base[0]),
        ]:
            args = with_operands(op, target, torch.zeros((), dtype=dtype))
            message = f"{op.name}: {name} {SHARES}"
            assert_refused(op.overload, with_argument(args, position, operand), message)


@each_operand(DENSE + INDEXED)
def test_operand_on_another_device_is_refused_by_its_name(op, position, name):
    args = op.arguments(op.dtypes[0])
    assert_refused(
        op.overload,
        with_argument(args, position, args[position].to("meta")),
        f"{op.name}: {name} must be on cpu like target, got meta",
    )
    args = tuple(arg.to("meta") if isinstance(arg, Tensor) else arg for arg in args)
    assert_refused(
        op.overload,
        with_argument(args, position, torch.zeros(args[position].shape, dtype=op.dtypes[0])),
        f"{op.name}: {name} must be on meta like target, got cpu",
    )


@each_unguarded
def test_misaligned_tensor_is_refused_by_its_name(op):
    for dtype in op.dtypes:
        args = op.arguments(dtype)
        for position, arg in enumerate(args):
            if isinstance(arg, Tensor) and arg.itemsize > 1:
                name = op.overload._schema.arguments[position].name
                message = f"{packet(op)}: {name} {not_aligned(arg.dtype)}"
                assert_refused(op.overload, with_argument(args, position, misaligned(arg)), message)


@each_unguarded
def test_tensor_whose_storage_shrank_is_refused_by_its_name(op):
    for dtype in op.dtypes:
        args = op.arguments(dtype)
        for position, arg in enumerate(args):
            for left in {0, arg.nbytes - 1} if isinstance(arg, Tensor) else ():
                name = op.overload._schema.arguments[position].name
                assert_refused(
                    op.overload,
                    with_argument(args, position, without_memory(arg, left)),
                    f"{packet(op)}: {name} must still have its memory, "
                    f"got a storage of {left} bytes",
                )


@each_unguarded
def test_negative_and_conjugate_views_are_refused(op):
    args = op.arguments(op.dtypes[0])
    for position, arg in enumerate(args):
        if isinstance(arg, Tensor):
            for view, rule in [(torch._neg_view(arg), NEGATIVE), (conjugate(), CONJUGATE)]:
                message = f"{packet(op)}: {rule}"
                assert_refused(op.overload, with_argument(args, position, view), message)


@each_number
def test_number_overload_refuses_targets_that_are_not_one_element(op):
    for dtype in op.dtypes:
        _, *numbers = op.arguments(dtype)
        for shape in [(2,), (0,), (1, 3)]:
            message = f"{packet(op)}: target must have one element, got shape {list(shape)}"
            assert_refused(op.overload, (torch.zeros(shape, dtype=dtype), *numbers), message)


def test_overlap_of_strided_targets_is_found_exactly():
    random = Random(0)
    for _ in range(3000):
        sizes = [random.randint(1, 5) for _ in range(random.randint(1, 4))]
        strides = [random.randint(0, 60) for _ in sizes]
        offsets = [sum(map(mul, index, strides)) for index in itertools.product(*map(range, sizes))]
        dtype = random.choice(NUMBERS)
        target = torch.zeros(max(offsets) + 1, dtype=dtype).as_strided(sizes, strides)
        other = torch.ones((), dtype=dtype)
        if len(set(offsets)) == len(offsets):
            atomics.add_(target, other)
            assert target.eq(1).all()
        else:
            with pytest.raises(RuntimeError, match="target must not overlap itself"):
                atomics.add_(target, other)


def test_overlap_with_an_operand_is_found_exactly():
    random = Random(1)
    outcomes = set()
    for _ in range(4000):
        sizes = [random.randint(1, 4) for _ in range(random.randint(1, 4))]
        places = []
        for size_of in (lambda n: n, lambda n: random.choice([1, n])):
            strides = [
                random.choice([1, 2, 3, 8, 12, 40, 120, random.randint(1, 60)]) for _ in sizes
            ]
            own = [size_of(n) for n in sizes]
            start = random.randint(0, 100)
            offsets = [
                start + sum(map(mul, index, strides))
                for index in itertools.product(*map(range, own))
            ]
            places.append((own, strides, start, offsets))
        if len(set(places[0][3])) < len(places[0][3]):
            continue
        memory = torch.zeros(max(places[0][3] + places[1][3]) + 1, dtype=torch.int32)
        target, other = (memory.as_strided(*place[:3]) for place in places)
        overlap = not set(places[0][3]).isdisjoint(places[1][3])
        outcomes.add(overlap)
        if overlap:
            with pytest.raises(
                RuntimeError, match=r"^add_: other must not share memory with target"
            ):
                atomics.add_(target, other)
        else:
            atomics.add_(target, other)
    assert outcomes == {True, False}


@each_operand(DENSE)
def test_operand_of_an_empty_target_is_checked(op, position, name):
    for dtype in op.dtypes:
        args = with_operands(op, torch.zeros(0, 3, dtype=dtype), torch.zeros(3, dtype=dtype))
        assert_refused(
            op.overload,
            with_argument(args, position, torch.zeros(3, dtype=torch.complex64)),
            f"{op.name}: {name} must have dtype {named(dtype)} like target, got complex64",
        )


def test_none_for_a_tensor_is_refused_by_its_place():
    for args, place in [((None, torch.ones(1)), 1), ((torch.ones(1), None), 2)]:
        with pytest.raises(RuntimeError) as caught:
            atomics.fetch_add.default(*args)
        message = f"fetch_add: argument {place} must be a tensor, got None"
        assert str(caught.value).splitlines()[0] == message


def test_errors_name_no_folder_of_the_machine_that_built_the_library():
    root = Path(__file__).parent.parent
    assert str(root).encode() not in Path(library_path()).read_bytes()
