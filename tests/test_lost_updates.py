"""check_lost_updates finds lost updates, and does not find any where there are none."""

from __future__ import annotations

import multiprocessing
import os
import time

import pytest
import torch
from support import START_METHODS

import caffe2op_atomics as package
from caffe2op_atomics import check_lost_updates

ONE = torch.ones(1, dtype=torch.int64)


def atomic(cell):
    torch.ops.atomics.add_(cell, ONE)


def losing(cell):
    """Read, let the others write, write: on any number of cores."""
    value = cell[0].item()
    time.sleep(0.001)
    cell[0] = value + 1


def test_racy_update_is_found_out():
    report = check_lost_updates(losing, torch.zeros(1, dtype=torch.int64), workers=3, calls=50)
    assert report.updates == 150
    assert 0 < report.lost <= 100
    assert report.share == report.lost / 150
    assert str(report).startswith("150 updates by 3 workers: ")


@pytest.mark.parametrize("start_method", START_METHODS)
def test_atomic_update_loses_nothing_and_leaves_target_alone(start_method):
    target = torch.full((1,), 7)
    report = check_lost_updates(atomic, target, calls=2000, start_method=start_method)
    assert report.lost == 0
    assert str(report) == "4,000 updates by 2 workers: 0 lost (0.00%)"
    assert target.item() == 7


def test_other_objects_are_read_by_value_or_as_told():
    assert check_lost_updates(lambda c: c.next(), package.Counter(), calls=500).lost == 0
    guarded = multiprocessing.Value("q")

    def increment(value):
        with value.get_lock():
            value.value += 1

    assert check_lost_updates(increment, guarded, calls=500).lost == 0
    flag = torch.zeros(2).share_memory_()
    report = check_lost_updates(
        lambda pair: package.ops.add_(pair[0], 1),
        (flag,),
        calls=500,
        read=lambda pair: pair[0].clone(),
    )
    assert report.lost == 0


def test_rounding_is_not_loss():
    report = check_lost_updates(
        lambda cell: package.ops.add_(cell, 0.1), torch.zeros(1), calls=3000
    )
    assert report.lost == 0


def test_part_of_an_update_counts_in_part():
    def half(cells):
        package.ops.add_(cells[0], 1)
        losing(cells[1])

    report = check_lost_updates(half, torch.zeros(2, 1, dtype=torch.int64), workers=2, calls=40)
    assert 0 < report.lost <= 20


def test_update_that_changes_nothing_is_refused():
    with pytest.raises(ValueError, match=r"^check_lost_updates: fn must change target"):
        check_lost_updates(lambda _: None, torch.zeros(1), calls=2)


def test_error_in_a_worker_is_raised():
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        check_lost_updates(lambda _: 1 / 0, torch.zeros(1), calls=2)


def test_death_of_a_worker_is_raised():
    with pytest.raises(RuntimeError, match="exit code 3"):
        check_lost_updates(lambda _: os._exit(3), torch.zeros(1), calls=2)


def test_time_limit_holds():
    with pytest.raises(TimeoutError, match=r"^check_lost_updates: no end after 0.5 s"):
        check_lost_updates(lambda _: time.sleep(60), torch.zeros(1), calls=1, timeout=0.5)
