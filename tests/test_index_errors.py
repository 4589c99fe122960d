"""Arguments that the indexed ops refuse: the exact message, and not a byte changed."""

from __future__ import annotations

import pytest
import torch
from bad_arguments import OVERLAPS, SHARES, each_operand, with_argument
from op_table import INDEXED
from support import assert_refused

INDEX = torch.tensor([1, 0, 1])

each_op = pytest.mark.parametrize("op", INDEXED, ids=lambda op: op.name)


@each_op
def test_dim_other_than_zero_is_refused(op):
    for dtype in op.dtypes:
        for dim in [1, -1, 2, -3]:
            args = with_argument(op.arguments(dtype), 1, dim)
            assert_refused(op.overload, args, f"{op.name}: dim must be 0, got {dim}")


@each_op
def test_target_without_dimensions_is_refused(op):
    for dtype in op.dtypes:
        args = with_argument(op.arguments(dtype), 0, torch.zeros((), dtype=dtype))
        message = f"{op.name}: target must have at least one dimension, got shape []"
        assert_refused(op.overload, args, message)


@each_op
@pytest.mark.parametrize(
    ("index", "rule"),
    [
        (INDEX.view(1, 3), "have one dimension, got shape [1, 3]"),
        (INDEX[0], "have one dimension, got shape []"),
        (INDEX.float(), "have dtype int32 or int64, got float32"),
        (INDEX.bool(), "have dtype int32 or int64, got bool"),
        (INDEX.to(torch.uint8), "have dtype int32 or int64, got uint8"),
        (INDEX.to(torch.int16), "have dtype int32 or int64, got int16"),
        (INDEX[:1].expand(2**32), "have fewer than 2**32 elements, got 4294967296"),
        (torch.tensor([0, 1, 2]), "lie in [0, 2), got 2"),
        (torch.tensor([0, 1, 2], dtype=torch.int32), "lie in [0, 2), got 2"),
        (torch.tensor([0, -1, 5]), "lie in [0, 2), got -1"),
        (torch.tensor([0, 1, 2**32]), "lie in [0, 2), got 4294967296"),
        (INDEX.to("meta"), "be on cpu like target, got meta"),
    ],
)
def test_index_is_refused(op, index, rule):
    for dtype in op.dtypes:
        args = with_argument(op.arguments(dtype), 2, index)
        assert_refused(op.overload, args, f"{op.name}: index must {rule}")


@each_op
def test_no_index_lies_in_a_target_without_rows(op):
    for dtype in op.dtypes:
        args = with_argument(op.arguments(dtype), 0, torch.zeros(0, 3, dtype=dtype))
        assert_refused(op.overload, args, f"{op.name}: index must lie in [0, 0), got 1")


@each_operand(INDEXED)
def test_source_of_another_shape_is_refused_by_its_name(op, position, name):
    """No broadcasting: a source has one row for each index."""
    for dtype in op.dtypes:
        for shape in [(1, 3), (3, 1), (2, 3), (3,), (3, 3, 1), (1, 3, 3), ()]:
            args = with_argument(op.arguments(dtype), position, torch.ones(shape).to(dtype))
            message = f"{op.name}: {name} must have shape [3, 3], got {list(shape)}"
            assert_refused(op.overload, args, message)


@each_op
def test_target_that_overlaps_itself_is_refused(op):
    for dtype in op.dtypes:
        for target in [
            torch.zeros(1, 3, dtype=dtype).expand(2, 3),
            torch.zeros(8, dtype=dtype).as_strided((2, 3), (2, 2)),
        ]:
            args = with_argument(op.arguments(dtype), 0, target)
            assert_refused(op.overload, args, f"{op.name}: {OVERLAPS}")


@each_operand(INDEXED)
def test_source_that_shares_memory_with_target_is_refused_by_its_name(op, position, name):
    for dtype in op.dtypes:
        base = torch.zeros(5, 3, dtype=dtype)
        for target, source in [
            (base[:2], base[1:4]),
            (base[::4], base[2:]),
            (base[1:3], base[2].expand(3, 3)),
        ]:
            args = with_argument(op.arguments(dtype), 0, target)
            args = with_argument(args, position, source)
            assert_refused(op.overload, args, f"{op.name}: {name} {SHARES}")


@each_op
def test_index_that_shares_memory_with_target_is_refused(op):
    for dtype in op.dtypes:
        memory = torch.zeros(8, dtype=torch.int64)
        behind_two_indices = memory.view(torch.uint8)[16:].view(dtype)
        args = with_argument(op.arguments(dtype), 0, behind_two_indices[:6].view(2, 3))
        args = with_argument(args, 2, memory[:3])
        assert_refused(op.overload, args, f"{op.name}: index {SHARES}")
