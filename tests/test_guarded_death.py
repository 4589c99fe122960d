"""A process is killed in a guarded op: nobody waits for it, what it left is whole, and is counted.

The victims are stopped first, so that it is known what they hold. ``CAFFE2OP_ATOMICS_KILLS=1000``
kills as many in each test.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable

import pytest
import torch
import torch.multiprocessing as mp
from support import TIMEOUT
from torch import Tensor
from trajectory import KINDS, Trajectory
from victims import held_by, in_step, kill_when

from caffe2op_atomics import ops

atomics = torch.ops.atomics

KILLS = int(os.environ.get("CAFFE2OP_ATOMICS_KILLS", "2"))
LENGTH = 40 * 4096 + 99
F32 = torch.float32


def shared(*shape: int, dtype: torch.dtype = F32) -> Tensor:
    return torch.zeros(shape, dtype=dtype).share_memory_()


def add(bank: Tensor, target: Tensor) -> Callable[[], None]:
    return lambda: ops.guarded_add_(bank, target, 1)


def add_rows(bank: Tensor, target: Tensor) -> Callable[[], None]:
    index, source = torch.randperm(target.size(0)), torch.ones_like(target)
    return lambda: ops.guarded_index_add_(bank, target, 0, index, source)


def store(bank: Tensor, target: Tensor) -> Callable[[], None]:
    versions = (torch.full_like(target, k) for k in itertools.count(1))
    return lambda: ops.guarded_store_(bank, target, next(versions))


def exchange(bank: Tensor, target: Tensor) -> Callable[[], None]:
    versions = (torch.full_like(target, k) for k in itertools.count(1))
    return lambda: ops.guarded_exchange(bank, target, next(versions))


def rebase(bank: Tensor, target: Tensor) -> Callable[[], None]:
    seen = torch.full_like(target, -1)  # which is nowhere
    return lambda: ops.guarded_rebase_(bank, target, seen, 0)


def copy(bank: Tensor, target: Tensor) -> Callable[[], None]:
    versions = (torch.full_like(target, k) for k in itertools.count(1))
    return lambda: ops.guarded_copy_([bank], [target], [0], [target], [next(versions)])


# Each call makes every element that was k to k + 1.
CASES = {
    "add": (add, (LENGTH,), F32),
    "add of bytes": (add, (4 * LENGTH,), torch.uint8),
    "store": (store, (LENGTH,), F32),
    "exchange": (exchange, (LENGTH,), F32),
    "copy": (copy, (LENGTH,), F32),
    "rebase": (rebase, (LENGTH,), F32),
    "summed integers": (add_rows, (60_000,), torch.int32),
    "rows that cross": (add_rows, (1600, 100), F32),
}


@pytest.mark.parametrize("n", [1, 16])
@pytest.mark.parametrize("case", CASES)
def test_each_element_is_changed_or_not(case, n):
    make, shape, dtype = CASES[case]
    target, bank = shared(*shape, dtype=dtype), atomics.create_mutex(n)
    expected = 0
    for _ in range(-(-KILLS // 2)):
        target.zero_()
        expected += len(kill_when(lambda pid: held_by(pid, bank), make(bank, target)))
        left = target.unique().tolist()
        assert len(left) == 1 or (len(left) == 2 and (left[1] - left[0]) % 256 in (1, 255))
        before = target.clone()
        ops.guarded_add_(bank, target, 1)  # does not hang
        assert torch.equal(target, before + 1)
    assert atomics.mutex_recoveries(bank) == (expected, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_each_death_in_a_step_is_counted_and_tears_one_stripe_at_most(kind):
    bank = atomics.create_mutex(8)
    trajectory = Trajectory.of(kind, bank, [90 * 2048])
    for deaths in range(1, 2 * KILLS + 1):
        kill_when(lambda _: in_step(bank), trajectory.step)
        assert atomics.mutex_recoveries(bank) == (deaths, deaths)
        trajectory.step()
        stripes = trajectory.torn(trajectory.tensors).split(2048)
        assert sum(bool(stripe.any()) for stripe in stripes) <= deaths


@pytest.mark.parametrize("kind", KINDS)
def test_death_with_a_lock_but_in_no_step_tears_nothing(kind):
    bank = atomics.create_mutex(8)
    trajectory = Trajectory.of(kind, bank, [3] * 500)  # whose steps take less than the rest
    for deaths in range(1, KILLS + 1):
        kill_when(lambda pid: held_by(pid, bank) and not in_step(bank), trajectory.step)
        assert atomics.mutex_recoveries(bank) == (deaths, 0)
        trajectory.step()
        assert not trajectory.torn(trajectory.tensors).any()


@pytest.mark.parametrize("row_wise", [False, True])
def test_death_in_a_sparse_step_is_counted(row_wise):
    bank, table = atomics.create_mutex(8), shared(4000, 40)
    sums = shared(4000) if row_wise else shared(4000, 40)
    steps = torch.zeros(1, dtype=torch.int64).share_memory_()
    index, source = torch.randperm(4000), torch.ones(4000, 40)

    def step() -> None:
        ops.guarded_index_adagrad_(bank, table, 0, index, source, sums, steps, lr=1)

    for deaths in range(1, KILLS + 1):
        recoveries, torn = atomics.mutex_recoveries(bank)
        held = kill_when(lambda pid: in_step(bank) and held_by(pid, bank), step)
        # A row that lies in two stripes is stepped under the mutexes of both.
        assert atomics.mutex_recoveries(bank) == (recoveries + len(held), torn + 1)
        step()
        sums_of_rows = sums.view(4000, -1)
        # Equal steps: so is each row's sum, but that of the row a death was in.
        assert (sums_of_rows != sums_of_rows[:, :1]).any(1).sum() <= deaths


def test_death_of_who_holds_a_whole_snapshot_frees_all_of_it():
    bank = atomics.create_mutex(64)
    trajectory = Trajectory.of("sgd", bank, [64 * 2048] * 2)
    out = trajectory.like()

    def snapshot() -> None:
        params = trajectory.stepper.params
        ops.guarded_copy_([bank], params, [0, 1], out, trajectory.tensors)

    for deaths in range(1, KILLS + 1):
        kill_when(lambda pid: len(held_by(pid, bank)) == 64, snapshot)
        assert atomics.mutex_recoveries(bank) == (64 * deaths, 0)
        trajectory.step()
        snapshot()
        assert trajectory.is_after(deaths)


def test_death_of_who_holds_several_banks_frees_all_of_them():
    banks = [atomics.create_mutex(n) for n in (3, 40)]
    targets = [shared(LENGTH), shared(LENGTH)]
    out = [torch.empty_like(each) for each in targets]
    for deaths in range(1, KILLS + 1):
        kill_when(
            lambda pid: [len(held_by(pid, bank)) for bank in banks] == [3, 40],
            lambda: ops.guarded_copy_(banks, targets, [0, 0], out, targets),
        )
        for bank, target in zip(banks, targets, strict=True):
            ops.guarded_add_(bank, target, 1)
            assert atomics.mutex_recoveries(bank) == (deaths * bank.size(0), 0)


def bystander(bank: Tensor, target: Tensor, calls: int) -> None:
    torch.set_num_threads(1)
    for _ in range(calls):
        ops.guarded_add_(bank, target, 1)


def test_others_go_on_and_lose_nothing_while_processes_die():
    bank, target, calls = atomics.create_mutex(3), shared(LENGTH, dtype=torch.int64), 3000
    other = mp.get_context("fork").Process(target=bystander, args=(bank, target, calls))
    other.start()
    recoveries = 0
    for _ in range(2 * KILLS):
        recoveries += len(kill_when(lambda pid: held_by(pid, bank), add(bank, target)))
    other.join(TIMEOUT)
    assert other.exitcode == 0
    least, most = target.aminmax()
    assert least >= calls + 2 * KILLS  # each victim made a call before it was ready
    assert most - least <= 2 * KILLS
    assert atomics.mutex_recoveries(bank) == (recoveries, 0)


def test_waiter_in_a_guarded_op_is_woken_by_the_death():
    bank, target = atomics.create_mutex(), shared(LENGTH)
    before = []

    def is_time(pid: int) -> bool:
        if not held_by(pid, bank):
            return False
        process = mp.get_context("fork").Process(target=bystander, args=(bank, target, 1))
        process.start()
        process.join(0.2)
        before.append(process)
        return True

    kill_when(is_time, add(bank, target))
    (waiter,) = before
    waiter.join(TIMEOUT)
    assert waiter.exitcode == 0
    assert atomics.mutex_recoveries(bank) == (1, 0)


def test_who_locks_a_mutex_of_the_bank_by_itself_is_told():
    bank, target = atomics.create_mutex(), shared(LENGTH)
    kill_when(lambda pid: held_by(pid, bank), add(bank, target))
    ops.guarded_add_(bank, target, 1)  # recovers
    assert atomics.mutex_lock(bank) == 2  # and the last holder died
    atomics.mutex_consistent(bank)
    atomics.mutex_unlock(bank)
    assert atomics.mutex_lock(bank) == 1
    atomics.mutex_unlock(bank)


def test_death_that_nobody_met_is_counted_when_asked():
    bank, target = atomics.create_mutex(16), shared(LENGTH)
    assert atomics.mutex_recoveries(bank) == (0, 0)
    kill_when(lambda pid: held_by(pid, bank), add(bank, target))
    for _ in range(2):
        assert atomics.mutex_recoveries(bank) == (1, 0)
