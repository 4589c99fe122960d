"""Guarded updates lose nothing and tear nothing, between real parallel threads and processes.

When Stripes::lock and unlock (csrc/cpu/mutex/stripes.cpp) do nothing, every test here fails but the
one on deadlocks, which does not end when HoldAll does not sort.
"""

from __future__ import annotations

import itertools
import threading

import pytest
import torch
from support import run_processes, run_threads
from torch import Tensor
from trajectory import KINDS, Trajectory

from caffe2op_atomics import ops

pytestmark = pytest.mark.contended

atomics = torch.ops.atomics

WORKERS = 3
F32, I64 = torch.float32, torch.int64
# Of several stripes; fewer than torch's threads share.
LENGTH = 15 * 4096 + 77

banks = pytest.mark.parametrize("n", [1, 3, 1024])


@pytest.fixture(autouse=True)
def one_thread_a_call():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def shared(*shape: int, dtype: torch.dtype = F32) -> Tensor:
    return torch.zeros(shape, dtype=dtype).share_memory_()


def add(_: int, bank: Tensor, target: Tensor, n: int) -> None:
    one = torch.ones_like(target)
    for _call in range(n):
        ops.guarded_add_(bank, target, one)


@banks
@pytest.mark.parametrize("run", [run_threads, run_processes])
def test_sums_are_exact(run, n):
    target, bank, calls = shared(LENGTH), atomics.create_mutex(n), 400
    run(WORKERS, add, bank, target, calls)
    assert target.eq(WORKERS * calls).all()


def add_to_a_view(rank: int, bank: Tensor, target: Tensor, n: int) -> None:
    """A view of its own: another beginning, other strides."""
    views = [target, target[333:], target[: 10 * 4096].view(10, 4096).t()]
    add(rank, bank, views[rank], n)


def test_views_of_a_storage_agree_on_their_mutexes():
    target, n = shared(LENGTH), 300
    run_threads(WORKERS, add_to_a_view, atomics.create_mutex(16), target, n)
    expected = torch.full((LENGTH,), n)
    expected[333:] += n
    expected[: 10 * 4096] += n
    assert torch.equal(target, expected.float())


# Of few stripes: integers and short floats are summed first, others added one by one; and of many.
# Sums stay below 256, up to which every integer is a bfloat16.
TABLES = {
    "few integers": ((50_000,), torch.int32),
    "few floats": ((50_000,), F32),
    "many integers": ((300_000,), torch.int32),
    "many floats": ((300_000,), F32),
    "few float16": ((50_000,), torch.float16),
    "rows of bfloat16": ((5000, 64), torch.bfloat16),
    "rows": ((5000, 64), F32),
    "rows that cross": ((900, 100), F32),
    "rows longer than a stripe": ((30, 5000), F32),
}


def add_rows(rank: int, bank: Tensor, table: Tensor, n: int) -> None:
    """Every row equally often, in an order of the worker's own."""
    generator = torch.Generator().manual_seed(rank)
    index = torch.randperm(table.size(0), generator=generator)
    source = torch.ones(1, dtype=table.dtype).expand_as(table)
    for _ in range(n):
        ops.guarded_index_add_(bank, table, 0, index, source)


@pytest.mark.parametrize("run", [run_threads, run_processes])
@pytest.mark.parametrize("table", TABLES)
def test_indexed_sums_are_exact(table, run):
    shape, dtype = TABLES[table]
    # The locks of summed integers are held for a moment only.
    target, bank = shared(*shape, dtype=dtype), atomics.create_mutex(16)
    n = 200 if table == "few integers" else 30
    run(WORKERS, add_rows, bank, target, n)
    assert target.eq(WORKERS * n).all()


@banks
def test_exchange_takes_each_summand_once(n):
    target, bank, calls = shared(LENGTH), atomics.create_mutex(n), 400

    def work(rank: int) -> Tensor | None:
        if rank:
            return add(rank, bank, target, calls)
        taken = torch.zeros(LENGTH)
        for _ in range(calls):
            taken += ops.guarded_exchange(bank, target, 0)
        return taken

    taken, *_ = run_threads(WORKERS, work)
    assert torch.equal(taken + target, torch.full((LENGTH,), 2.0 * calls))
    assert taken.any()


def test_rebase_keeps_what_was_added_since():
    target, bank, calls = shared(LENGTH), atomics.create_mutex(3), 400

    def work(rank: int) -> None:
        if rank:
            return add(rank, bank, target, calls)
        for _ in range(calls):
            seen = ops.guarded_load(bank, target)
            ops.guarded_rebase_(bank, target, seen, seen + 1)

    run_threads(WORKERS, work)
    assert target.eq(WORKERS * calls).all()


def test_store_replaces_a_stripe_at_once():
    target, bank = shared(LENGTH, dtype=I64), atomics.create_mutex(16)

    def work(rank: int) -> None:
        for call in range(400):
            if rank:
                ops.guarded_store_(bank, target, torch.full((LENGTH,), rank * 1000 + call))
            else:
                for stripe in ops.guarded_load(bank, target).split(2048):
                    assert stripe.eq(stripe[0]).all()

    run_threads(WORKERS, work)


def step(_: int, trajectory: Trajectory, n: int) -> None:
    for _call in range(n):
        trajectory.step()


SIZES = [LENGTH // 2, 5, LENGTH // 3]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("run", [run_threads, run_processes])
def test_steps_are_exact(run, kind):
    """As many as were made, for each element and its moments, and never a part of one."""
    trajectory, n = Trajectory.of(kind, atomics.create_mutex(16), SIZES), 200
    run(WORKERS, step, trajectory, n)
    assert trajectory.is_after(WORKERS * n)
    assert trajectory.stepper.steps.tolist() == [WORKERS * n] * len(SIZES)


@pytest.mark.parametrize("kind", KINDS)
def test_snapshot_holds_no_part_of_a_step(kind):
    bank = atomics.create_mutex(16)
    trajectory = Trajectory.of(kind, bank, SIZES)
    out, first, done = trajectory.like(), list(range(len(SIZES))), threading.Event()

    def work(rank: int) -> None:
        while rank and not done.is_set():
            trajectory.step()
        for _ in range(30 if not rank else 0):
            ops.guarded_copy_([bank], trajectory.stepper.params, first, out, trajectory.tensors)
            if trajectory.torn(out).any():
                done.set()
                raise AssertionError("an element and its moments are of different steps")
        done.set()

    run_threads(WORKERS, work)
    assert trajectory.is_after(int(trajectory.stepper.steps[0]))


@pytest.mark.parametrize("one_bank", [True, False])
def test_snapshot_is_one_point_in_time(one_bank):
    """One worker adds to one tensor and then to the other: no element is two calls ahead."""
    targets = [shared(9 * LENGTH), shared(9 * LENGTH)]
    banks = [atomics.create_mutex(n) for n in (3, 5)]
    banks = banks[:1] * 2 if one_bank else banks
    out = [torch.empty_like(each) for each in targets]
    done = threading.Event()

    def work(rank: int) -> None:
        while rank and not done.is_set():
            for bank, target in zip(banks, targets, strict=True):
                ops.guarded_add_(bank, target, 1)
        if rank:
            return
        try:
            for _ in range(60):
                ops.guarded_copy_(banks[:1] if one_bank else banks, targets, [0, 7], out, targets)
                (least, most), (least_behind, most_behind) = (each.aminmax() for each in out)
                assert least >= most_behind
                assert most - least_behind <= 1
        finally:
            done.set()

    run_threads(2, work)


def test_consistent_load_is_one_point_in_time():
    bank, target, n = atomics.create_mutex(16), shared(LENGTH), 600
    versions = [torch.full((LENGTH,), float(k)) for k in range(2)]

    def work(rank: int) -> None:
        for call in range(n):
            if rank:
                ops.guarded_copy_([bank], [target], [0], [target], [versions[call % 2]])
            else:
                loaded = ops.guarded_load(bank, target, consistent=True)
                assert loaded.eq(loaded[0]).all()

    run_threads(2, work)


def test_snapshots_of_several_banks_in_any_order_do_not_deadlock():
    banks = [atomics.create_mutex(n) for n in (1, 3, 16)]
    targets = [shared(4 * 4096) for _ in banks]
    orders, n = list(itertools.permutations(range(3))), 1500

    def work(rank: int) -> None:
        out = [torch.empty_like(each) for each in targets]
        for call in range(n):
            order = orders[(call + 2 * rank) % len(orders)]
            if rank == 3:
                ops.guarded_add_(banks[order[0]], targets[order[0]], 1)
            else:
                mine = [targets[k] for k in order]
                ops.guarded_copy_([banks[k] for k in order], mine, list(order), out, mine)

    run_threads(4, work)  # joins within a timeout
    assert sum(target.sum() for target in targets) == n * 4 * 4096


def test_torch_s_own_threads_share_a_call():
    target, bank = torch.zeros(40 * 4096), atomics.create_mutex(3)
    torch.set_num_threads(4)
    run_threads(2, add, bank, target, 100)
    assert target.eq(200).all()
