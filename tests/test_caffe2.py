"""Upstream's two acceptance tests, and the semantics of each of Caffe2's ops."""

from __future__ import annotations

import pytest
import torch
from support import run_processes, run_threads
from torch import Tensor

from caffe2op_atomics import caffe2

ops = torch.ops.atomics


def scalar(number: int, dtype: torch.dtype = torch.int32) -> Tensor:
    return torch.tensor(number, dtype=dtype)


@torch.jit.script
def count_down(
    first: Tensor, countdown: Tensor, second: Tensor, checksum: Tensor, minus_one: Tensor, n: int
) -> None:
    for _ in range(n):
        _, fetched = torch.ops.atomics.atomic_fetch_add(first, countdown, minus_one)
        torch.ops.atomics.atomic_fetch_add(second, checksum, fetched)


def count_down_worker(_: int, first, countdown, second, checksum, n) -> None:
    count_down(first, countdown, second, checksum, scalar(-1), n)


@pytest.mark.parametrize(
    ("run", "workers", "iterations"), [(run_threads, 100, 200), (run_processes, 5, 4000)]
)
def test_countdown_feeds_a_checksum(run, workers, iterations):
    countdown = scalar(20000).share_memory_()
    checksum = scalar(0).share_memory_()
    mutexes = caffe2.create_mutex(), caffe2.create_mutex()
    run(workers, count_down_worker, mutexes[0], countdown, mutexes[1], checksum, iterations)
    assert countdown.item() == 0
    assert checksum.item() == 200010000


@torch.jit.script
def iterate(mutex: Tensor, iters: Tensor, n: int) -> None:
    for _ in range(n):
        torch.ops.atomics.atomic_iter(mutex, iters)


def iterate_worker(_: int, mutex, iters, n) -> None:
    iterate(mutex, iters, n)


@pytest.mark.parametrize("run", [run_threads, run_processes])
def test_iters_is_initial_plus_iterations_times_nets(run):
    initial, num_iters, num_nets = 5, 10_000, 4
    iters = torch.tensor([initial]).share_memory_()
    run(num_nets, iterate_worker, caffe2.create_mutex(), iters, num_iters)
    assert iters.item() == initial + num_iters * num_nets


@pytest.mark.parametrize(
    ("op", "dtype"),
    [(caffe2.atomic_fetch_add, torch.int32), (caffe2.atomic_fetch_add64, torch.int64)],
)
def test_fetch_add_returns_new_then_old_as_scalars(op, dtype):
    value = torch.tensor([[10]], dtype=dtype)
    new, old = op(caffe2.create_mutex(), value, torch.tensor([5], dtype=dtype))
    assert (new.item(), old.item(), value.item()) == (15, 10, 15)
    assert new.shape == old.shape == ()
    assert new.dtype == old.dtype == dtype
    new.zero_()
    assert value.item() == 15


@pytest.mark.parametrize(
    ("op", "dtype"),
    [(caffe2.atomic_fetch_add, torch.int32), (caffe2.atomic_fetch_add64, torch.int64)],
)
def test_fetch_add_wraps(op, dtype):
    limits = torch.iinfo(dtype)
    value = scalar(limits.max, dtype)
    new, old = op(caffe2.create_mutex(), value, scalar(1, dtype))
    assert (new.item(), old.item()) == (limits.min, limits.max)


def test_fetch_add_may_add_the_value_to_itself():
    value = scalar(21)
    caffe2.atomic_fetch_add(caffe2.create_mutex(), value, value)
    assert value.item() == 42


def test_atomic_iter_counts_in_place_and_keeps_the_shape():
    iters = torch.tensor([[3]])
    result = caffe2.atomic_iter(caffe2.create_mutex(), iters)
    assert result.tolist() == iters.tolist() == [[4]]


def test_flag_is_a_one_way_latch():
    flag = caffe2.create_atomic_bool()
    assert caffe2.check_atomic_bool(flag).tolist() == [False]
    caffe2.conditional_set_atomic_bool(flag, torch.tensor([False]))
    assert caffe2.check_atomic_bool(flag).tolist() == [False]
    caffe2.conditional_set_atomic_bool(flag, torch.tensor(True))
    caffe2.conditional_set_atomic_bool(flag, torch.tensor(False))
    checked = caffe2.check_atomic_bool(flag)
    assert checked.tolist() == [True]
    assert checked.dtype == torch.bool


def test_created_state_is_new_each_time_and_shared_by_forked_children():
    mutexes = [caffe2.create_mutex(), ops.create_mutex.like(torch.zeros(1)), caffe2.create_mutex(3)]
    assert [tuple(mutex.shape) for mutex in mutexes] == [(1, 128), (1, 128), (3, 128)]
    flags = [caffe2.create_atomic_bool(), ops.create_atomic_bool.like(torch.zeros(1))]
    assert len({t.data_ptr() for t in mutexes + flags}) == 5
    run_processes(1, set_flags, flags)
    assert all(caffe2.check_atomic_bool(flag).item() for flag in flags)


def set_flags(_: int, flags: list[Tensor]) -> None:
    for flag in flags:
        caffe2.conditional_set_atomic_bool(flag, torch.tensor(True))
