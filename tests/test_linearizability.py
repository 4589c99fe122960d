"""Each op on one cell happens at one moment: random histories of real threads are linearizable."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import meaning
import pytest
import torch
from histories import build, explained, histories, step
from linearizability import Call, linearization
from op_table import DTYPES

pytestmark = pytest.mark.contended

HISTORIES = 1000  # for each dtype


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("histories"))


def test_every_op_is_linearizable(program):
    names, dtypes, overlaps = set(), set(), 0
    for dtype, initial, calls in histories(program, 1, HISTORIES):
        assert explained(dtype, initial, calls), calls
        names |= {call.name for call in calls}
        dtypes.add(dtype)
        overlaps += sum(a.start < b.end and b.start < a.end for a in calls for b in calls if a != b)
    assert overlaps > 0
    assert dtypes == set(DTYPES) - {torch.float16}  # goes the way of bfloat16
    # The updates (add_ and others) are their fetching forms with the result thrown away.
    assert {meaning.stem(name) for name in names} == {
        *("load", "store", "exchange", "compare_exchange", "add", "sub", "min", "max"),
        *("and", "or", "xor", "add_below", "add_checked"),
    }


def test_load_and_store_in_place_of_fetch_add_is_found_out(program):
    """The judge can tell; the threads do meet."""
    for seed in range(50):
        for dtype, initial, calls in histories(program, seed, HISTORIES, "broken"):
            if not explained(dtype, initial, calls):
                return
    raise AssertionError("the broken op passed")


I64 = torch.int64


def num(value: int) -> bytes:
    return meaning.encode(I64, value)


def add(start: int, end: int, old: int) -> Call:
    return Call(start, end, "fetch_add", (num(1),), num(old))


def load(start: int, end: int, old: int) -> Call:
    return Call(start, end, "load", (), num(old))


def store(start: int, end: int, value: int) -> Call:
    return Call(start, end, "store_", (num(value),))


@pytest.mark.parametrize(
    ("linearizable", "calls"),
    [
        (True, []),
        (True, [add(0, 1, 0), add(2, 3, 1)]),
        (False, [add(0, 1, 1), add(2, 3, 0)]),  # in the order of time, not of values
        (True, [add(0, 3, 1), add(1, 2, 0)]),
        (True, [add(0, 2, 1), add(2, 3, 0)]),  # at one moment
        (False, [add(0, 2, 0), add(1, 3, 0), load(4, 5, 1)]),  # a lost update
        (True, [store(0, 5, 7), load(1, 2, 0), load(3, 4, 7)]),
        (False, [store(0, 5, 7), load(1, 2, 7), load(3, 4, 0)]),  # new, then old
        (False, [store(0, 1, 7), load(2, 3, 0)]),  # a write that is seen too late
        (True, [store(0, 9, 1), store(0, 9, 2), load(1, 2, 2), load(3, 4, 1)]),
        (
            False,
            [store(0, 9, 1), store(0, 9, 2), *(load(k, k, v) for k, v in [(1, 1), (2, 2), (3, 1)])],
        ),
        (True, [add(0, 99, k) for k in reversed(range(14))]),  # not in 14! tries
        (False, [*(add(0, 99, k) for k in range(10)), load(100, 101, 11)]),
    ],
)
def test_judge(linearizable, calls):
    assert explained(I64, num(0), calls) is linearizable


def test_judge_returns_the_order_that_explains_the_history():
    first, second, third = add(0, 9, 0), add(0, 9, 1), load(5, 6, 1)
    assert linearization([second, third, first], num(0), partial(step, I64)) == [
        first,
        third,
        second,
    ]
