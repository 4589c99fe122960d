"""Arguments that the indexed ops refuse: the exact message, and not a byte changed."""

from __future__ import annotations

import contextlib
import threading

import pytest
import torch
from bad_arguments import OVERLAPS, SHARES, each_operand, with_argument
from op_table import GUARDED, INDEXED, moment_dtype
from support import assert_refused, run_threads

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


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize(
    "op", INDEXED + [op for op in GUARDED if "index" in op.name], ids=lambda op: op.name
)
def test_index_that_changes_during_the_call_leads_to_no_other_memory(op, width):
    """What was checked is what is used: another process may write to the index."""
    dtype, rows, count = op.dtypes[-1], 4, 100_000
    memory = torch.zeros(2 * rows, width, dtype=dtype)
    like_index = torch.zeros(count, width, dtype=dtype)
    arguments = {
        "mutex": torch.ops.atomics.create_mutex(),
        "target": memory[:rows],
        "dim": 0,
        "index": torch.zeros(count, dtype=torch.int64),
        "source": like_index + 1,
        "expected": like_index,
        "desired": like_index + 1,
        "state_sum": torch.zeros(rows, width, dtype=moment_dtype(dtype)),
        "steps": torch.zeros(1, dtype=torch.int64),
    }
    names = {argument.name for argument in op.overload._schema.arguments}
    keywords = {name: value for name, value in arguments.items() if name in names} | op.keywords
    done = threading.Event()

    def work(rank: int) -> None:
        some = keywords["index"][count // 2 :]
        while rank == 1 and not done.is_set():
            some.fill_(rows + 1)
            some.zero_()
        for _ in range(0 if rank == 1 else 200):
            with contextlib.suppress(RuntimeError):
                op.overload(**keywords)
        done.set()

    run_threads(2, work)
    assert not memory[rows:].any()
