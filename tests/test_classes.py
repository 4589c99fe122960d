"""Counter and AtomicBool, one by one."""

from __future__ import annotations

import re
import threading

import numpy
import pytest
import torch
from support import run_threads

from caffe2op_atomics import AtomicBool, Counter, Mutex


def test_counter_counts():
    counter = Counter(10)
    assert counter.next() == 10
    assert counter.fetch_add(5) == 11
    counter += 4
    counter -= 10
    assert counter.value == 10
    assert Counter().value == 0


def test_counter_keeps_its_identity_under_augmented_assignment():
    counter = same = Counter()
    counter += 1
    assert counter is same


def test_counter_wraps():
    counter = Counter(2**63 - 1)
    assert counter.next() == 2**63 - 1
    assert counter.value == -(2**63)


def test_counter_value_is_read_only_and_says_what_to_do():
    counter = Counter()
    with pytest.raises(AttributeError, match=re.escape("use counter += n, counter.fetch_add(n)")):
        counter.value = 3
    with pytest.raises(AttributeError, match="would lose what others count"):
        counter.value += 1
    assert counter.value == 0


@pytest.mark.parametrize("number", [1.5, "1", None, torch.tensor(1.0)])
def test_counter_takes_integers_only(number):
    counter = Counter()
    for call in (Counter, counter.fetch_add, counter.__iadd__, counter.__isub__):
        with pytest.raises(TypeError):
            call(number)
    assert counter.value == 0


def test_counter_refuses_what_int64_cannot_hold():
    counter = Counter()
    for call in (Counter, counter.fetch_add, counter.__iadd__, counter.__isub__):
        for number in (2**63, -(2**63) - 1):
            with pytest.raises(OverflowError, match=f"must fit in int64, got {number}$"):
                call(number)
    assert counter.value == 0


def test_counter_is_neither_true_nor_false():
    with pytest.raises(TypeError, match=r"compare counter\.value$"):
        bool(Counter())


@pytest.mark.parametrize("kind", [Counter, AtomicBool, Mutex])
def test_comparison_with_a_number_is_refused_and_others_go_by_identity(kind):
    shared, other = kind(), kind()
    for number in (0, 1.0, True):
        with pytest.raises(TypeError, match="is compared by identity, not with a number"):
            shared == number  # noqa: B015
    assert shared == shared
    assert shared != other
    assert shared != "text"
    assert len({shared, other}) == 2


def test_counter_tensor_is_the_cell():
    counter = Counter(3)
    torch.ops.atomics.fetch_add.int(counter.tensor, 4)
    assert counter.value == 7
    assert repr(counter) == "Counter(value=7)"


def test_flag_is_set_and_cleared():
    flag = AtomicBool()
    assert not flag.is_set()
    flag.set()
    assert flag.is_set()
    flag.clear()
    assert not flag.is_set()
    assert repr(flag) == "AtomicBool(is_set=False)"


@pytest.mark.parametrize(
    "make", [bool, numpy.bool_, torch.tensor, lambda condition: torch.tensor([condition])]
)
def test_set_if_is_one_way(make):
    flag = AtomicBool()
    flag.set_if(make(False))
    assert not flag
    flag.set_if(make(True))
    flag.set_if(make(False))
    assert flag


@pytest.mark.parametrize(
    ("condition", "error", "rule"),
    [
        (1, TypeError, "condition must be a bool or a bool tensor, got int"),
        (torch.tensor(1), RuntimeError, "condition must have dtype bool, got int64"),
    ],
)
def test_set_if_refuses_in_its_own_name(condition, error, rule):
    flag = AtomicBool()
    with pytest.raises(error, match=f"^set_if: {rule}"):
        flag.set_if(condition)
    assert not flag


def test_flag_publishes_what_was_written_before_it():
    """The store of the flag releases, its load acquires: the message is there when it is seen."""
    for _ in range(200):
        flag, message = AtomicBool(), torch.zeros(1)
        seen = threading.Event()

        def work(rank, flag=flag, message=message, seen=seen):
            if rank == 0:
                message[0] = 1
                flag.set()
            else:
                while not flag.is_set():
                    pass
                seen.set()
                return message.item()
            return None

        assert run_threads(2, work)[1] == 1
