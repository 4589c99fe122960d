"""Which mutexes of a bank the guarded ops lock: those of the stripes that they touch, no other."""

from __future__ import annotations

import pytest
import torch
from op_table import FUSED
from support import run_threads
from torch import Tensor

from caffe2op_atomics import ops

atomics = torch.ops.atomics

STRIPE = 16384
F32 = torch.float32


def orphaned_bank(n: int) -> Tensor:
    """A bank whose mutexes were all held by a thread that ended: each counts who locks it first."""
    bank = atomics.create_mutex(n)
    run_threads(1, lambda _: [atomics.mutex_lock(bank, i) for i in range(n)])
    return bank


def locked(bank: Tensor) -> set[int]:
    """The mutexes whose recovery was counted, by the field in csrc/cpu/mutex/slot.h."""
    counts = bank.view(-1, 128)[:, 60:64].contiguous().view(torch.int32)[:, 0]
    return set(counts.nonzero()[:, 0].tolist())


def stripes_of(target: Tensor) -> set[int]:
    """The stripes of the cells of a target, from their places in its storage."""
    cell = torch.arange(target.untyped_storage().nbytes() // target.itemsize)
    cells = cell.as_strided(target.shape, target.stride(), target.storage_offset())
    return set((cells * target.itemsize // STRIPE).unique().tolist())


TARGETS = {
    "small": torch.zeros(7),
    "ends at a stripe's end": torch.zeros(3 * 4096)[: 2 * 4096],
    "begins in the middle": torch.zeros(30_000)[5000:20_000],
    "bytes": torch.zeros(5 * STRIPE + 1, dtype=torch.uint8)[STRIPE - 1 :],
    "rows far apart": torch.zeros(20, 9000)[1::2, :3],
    "columns far apart": torch.zeros(20, 9000)[:3, ::4500],
    "transposed": torch.zeros(100, 500, dtype=torch.float64).t()[200:],
    "large": torch.zeros(80, 4096)[3:],
}
targets = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
banks = pytest.mark.parametrize(("n", "first"), [(1, 0), (3, 1), (16, 5), (1024, 2**32 - 1)])


def mutexes(stripes: set[int], n: int, first: int) -> set[int]:
    return {(first + stripe) % n for stripe in stripes}


@banks
@targets
@pytest.mark.parametrize("op", ["add_", "store_", "exchange", "load"])
def test_op_locks_the_mutexes_of_its_stripes(op, target, n, first):
    bank = orphaned_bank(n)
    operand = () if op == "load" else (torch.zeros((), dtype=target.dtype),)
    getattr(ops, f"guarded_{op}")(bank, target, *operand, first=first)
    assert locked(bank) == mutexes(stripes_of(target), n, first)


@banks
@targets
def test_snapshot_locks_the_mutexes_from_the_first_stripe_to_the_last(target, n, first):
    stripes = stripes_of(target)
    expected = mutexes(set(range(min(stripes), max(stripes) + 1)), n, first)
    bank = orphaned_bank(n)
    ops.guarded_load(bank, target, consistent=True, first=first)
    assert locked(bank) == expected
    bank = orphaned_bank(n)
    ops.guarded_copy_([bank], [target], [first], [], [])
    assert locked(bank) == expected


@pytest.mark.parametrize("op", FUSED[:3], ids=lambda op: op.name)
@banks
@pytest.mark.parametrize("target", [t for t in TARGETS.values() if t.is_floating_point()])
def test_fused_step_locks_those_of_the_parameter_and_none_for_the_moments(target, n, first, op):
    bank = orphaned_bank(n)
    moments = [[torch.zeros(target.shape, dtype=target.dtype)] for _ in op.arguments(F32)[3:-2]]
    grads, steps = [torch.zeros_like(target)], torch.zeros(1, dtype=torch.int64)
    op.overload(bank, [target], grads, *moments, steps, [first], **op.keywords)
    assert locked(bank) == mutexes(stripes_of(target), n, first)


# Rows that lie in one stripe, and such that lie in several; few stripes are locked all at once.
@pytest.mark.parametrize("width", [1, 64, 100, 5000])
@pytest.mark.parametrize("dtype", [torch.int32, F32], ids=str)
@pytest.mark.parametrize("adagrad", [False, True])
@banks
def test_indexed_op_locks_those_of_the_rows(n, first, adagrad, dtype, width):
    rows = 20 * STRIPE // (4 * width) + 10
    target = torch.zeros(rows + 1, width, dtype=dtype)[1:]
    index = torch.tensor([rows - 1, 0, rows // 2, 0])
    source = torch.zeros(4, width, dtype=dtype)
    bank = orphaned_bank(n)
    if not adagrad:
        ops.guarded_index_add_(bank, target, 0, index, source, first=first)
    elif dtype == F32:
        sums, steps = torch.zeros(rows, width), torch.zeros(1, dtype=torch.int64)
        ops.guarded_index_adagrad_(
            bank, target, 0, index, source, sums, steps, first=first, lr=1, eps=1
        )
    else:
        return
    stripes = set().union(*(stripes_of(target[row]) for row in index.tolist()))
    assert locked(bank) == mutexes(stripes, n, first)


@pytest.mark.parametrize("dtype", [torch.int32, F32], ids=str)
def test_small_table_is_locked_as_a_whole(dtype):
    bank = orphaned_bank(16)
    target = torch.zeros(2 * 4096, dtype=dtype)
    ops.guarded_index_add_(bank, target, 0, torch.tensor([5]), 1, first=7)
    assert locked(bank) == {7, 8}


def test_snapshot_locks_the_banks_of_all_targets():
    banks = [orphaned_bank(n) for n in (3, 16)]
    target = torch.zeros(3 * 4096)
    ops.guarded_copy_(banks, [target[4096:], target[:5]], [0, 15], [], [])
    assert [locked(bank) for bank in banks] == [{1, 2}, {15}]


def test_one_bank_serves_all_targets():
    bank, target = orphaned_bank(16), torch.zeros(3 * 4096)
    ops.guarded_copy_([bank], [target[4096:], target[:5]], [0, 15], [], [])
    assert locked(bank) == {1, 2, 15}


def test_call_on_nothing_locks_nothing():
    bank, nothing = orphaned_bank(3), torch.zeros(0, 4)
    ops.guarded_add_(bank, nothing, 1)
    ops.guarded_load(bank, nothing, consistent=True)
    ops.guarded_index_add_(bank, torch.zeros(4), 0, torch.zeros(0, dtype=torch.int64), 1)
    ops.guarded_copy_([bank], [nothing], [0], [nothing], [nothing])
    ops.guarded_copy_([bank], [], [], [], [])
    assert locked(bank) == set()
