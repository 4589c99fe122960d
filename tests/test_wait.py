"""Waiting for a change: who changes and notifies wakes a waiter, whichever process it is in."""

from __future__ import annotations

import time

import pytest
import torch
from support import TIMEOUT, assert_refused, run_processes, run_threads
from torch import Tensor
from waiters import Waiter, cell, notify_until_woken

from caffe2op_atomics import ops

atomics = torch.ops.atomics
DTYPES = [torch.int32, torch.int64]
HIGH = 2**32  # the lowest bit of the word that no futex looks at


@pytest.mark.parametrize("wait", [atomics.wait, ops.wait])
@pytest.mark.parametrize("dtype", DTYPES)
def test_wait_returns_at_once_where_the_value_differs(dtype, wait):
    assert wait(cell(dtype, 3), 4) is True
    assert wait(cell(dtype, -1), 0, 0) is True


@pytest.mark.parametrize("wait", [atomics.wait, ops.wait])
@pytest.mark.parametrize("timeout", [0, 0.02, 0.12])
@pytest.mark.parametrize("dtype", DTYPES)
def test_wait_returns_false_after_its_timeout(dtype, timeout, wait):
    start = time.monotonic()
    assert wait(cell(dtype, -7), -7, timeout) is False
    assert time.monotonic() - start >= timeout


@pytest.mark.parametrize("timeout", [-1, -float("inf"), 1e300, float("inf")])
def test_negative_and_endless_timeouts_wait_for_the_change(timeout):
    target = cell(torch.int64)
    waiter = Waiter(atomics.wait, target, 0, timeout)
    notify_until_woken(target, 1)
    atomics.store_(target, 1)
    assert waiter.join() is True


@pytest.mark.parametrize("dtype", DTYPES)
def test_waiter_that_is_woken_without_a_change_waits_on(dtype):
    target = cell(dtype)
    waiter = Waiter(atomics.wait, target, 0, -1)
    notify_until_woken(target, 1)
    notify_until_woken(target, 1)  # it sleeps again
    atomics.store_(target, 1)
    ops.notify(target)
    assert waiter.join() is True


@pytest.mark.parametrize("change", [1, -1, HIGH, -(2**63)])
@pytest.mark.parametrize("wait", [atomics.wait, ops.wait])
def test_change_that_nobody_notifies_is_seen(wait, change):
    """In the high word alone, too, of which the futex knows nothing."""
    target = cell(torch.int64)
    waiter = Waiter(wait, target, 0)
    notify_until_woken(target, 1)
    target.fill_(change)
    assert waiter.join() is True


def test_change_of_int32_that_nobody_notifies_is_seen():
    target = cell(torch.int32)
    waiter = Waiter(atomics.wait, target, 0)
    notify_until_woken(target, 1)
    target.fill_(1)
    assert waiter.join() is True


def test_notify_wakes_as_many_as_asked_and_says_how_many():
    target = cell(torch.int64)
    waiters = [Waiter(atomics.wait, target, 0) for _ in range(3)]
    assert notify_until_woken(target, 3) == 3
    assert notify_until_woken(target, 2, at_most=2) == 2
    assert notify_until_woken(target, 1, at_most=1) == 1
    assert ops.notify(target, 0) == 0
    atomics.store_(target, 1)
    ops.notify(target, 2**70)
    assert [waiter.join() for waiter in waiters] == [True] * 3
    assert ops.notify(target) == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_element_is_waited_for_and_not_its_neighbours(dtype):
    values = torch.zeros(3, dtype=dtype).share_memory_()
    waiter = Waiter(atomics.wait, values[1], 0)
    notify_until_woken(values[1], 1)
    assert [ops.notify(values[0]), ops.notify(values[2])] == [0, 0]
    values[0].fill_(1)
    values[2].fill_(1)
    notify_until_woken(values[1], 1)  # still there
    values[1].fill_(1)
    assert waiter.join() is True


def play(rank: int, target: Tensor, count: int) -> None:
    """Take every other number up to ``count``; the last one to write has seen them all."""
    for turn in range(rank, count, 2):
        while (now := atomics.load.int(target)) != turn:
            assert atomics.wait(target, now, TIMEOUT), f"turn {turn} never came"
        assert atomics.fetch_add.int(target, 1) == turn
        atomics.notify(target, 1)


TURNS = 100_000


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_wake_up_is_lost_between_processes(dtype):
    target = cell(dtype)
    run_processes(2, play, target, TURNS)
    assert target.item() == TURNS


def test_no_wake_up_is_lost_between_threads():
    target = torch.zeros(1, dtype=torch.int64)  # private memory
    run_threads(2, play, target, TURNS)
    assert target.item() == TURNS


@pytest.mark.parametrize(
    ("target", "rule"),
    [
        (torch.zeros(1), "have dtype int32 or int64, got float32"),
        (torch.zeros(1, dtype=torch.int16), "have dtype int32 or int64, got int16"),
        (torch.zeros(2, dtype=torch.int32), "have one element, got shape [2]"),
        (torch.zeros(0, dtype=torch.int64), "have one element, got shape [0]"),
        (
            torch.frombuffer(bytearray(16), dtype=torch.int32, count=1, offset=2),
            "be aligned to 4 bytes, got an address 2 bytes past that",
        ),
    ],
)
def test_wait_and_notify_refuse(target, rule):
    assert_refused(atomics.wait, (target, 1, 0.0), f"wait: target must {rule}")
    assert_refused(atomics.notify, (target,), f"notify: target must {rule}")


def test_wait_refuses_what_it_cannot_wait_for():
    target = cell(torch.int32)
    assert_refused(atomics.wait, (target, 2**31), "wait: old must fit in int32, got 2147483648")
    assert_refused(
        atomics.wait,
        (target, 0, float("nan")),
        "wait: timeout must be a number of seconds, got nan",
    )
