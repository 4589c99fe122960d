"""What the functions and classes refuse of plain Python arguments."""

from __future__ import annotations

import fractions
import math
import re

import pytest
import torch
from op_table import row

import caffe2op_atomics as package
from caffe2op_atomics import ops

I32, I64 = torch.int32, torch.int64
INDEX = torch.tensor([1, 0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: ops.fetch_add(row(I64), 1.5),
            ValueError,
            "fetch_add: other must be an integer for int64 targets, got 1.5",
        ),
        (
            lambda: ops.store_(row(I32), 2**31),
            ValueError,
            "store_: other must fit in int32, got 2147483648",
        ),
        (
            lambda: ops.compare_exchange(row(I32), 0, "1"),
            TypeError,
            "compare_exchange: desired must be a tensor or a number, got str",
        ),
        (
            lambda: ops.compare_exchange(row(I32), 0.5, 2**31),
            ValueError,
            "compare_exchange: expected must be an integer for int32 targets, got 0.5",
        ),
        (
            lambda: ops.store_(row(torch.float16), 70000),
            ValueError,
            "store_: other must fit in float16, got 70000",
        ),
        (
            lambda: ops.add_(row(torch.float32), 10**39),
            ValueError,
            f"add_: other must fit in float32, got {10**39}",
        ),
        (
            lambda: ops.add_(row(torch.float32), 1, stochastic_rounding=True),
            ValueError,
            "add_: stochastic_rounding must be False for float32 targets, got True",
        ),
        (
            lambda: ops.fetch_or(row(torch.bool), 2),
            ValueError,
            "fetch_or: other must be 0 or 1 for bool targets, got 2",
        ),
        (
            lambda: ops.store_(row(torch.bool), 0.5),
            ValueError,
            "store_: other must be 0 or 1 for bool targets, got 0.5",
        ),
        (
            lambda: ops.min_(row(torch.uint8), -1),
            ValueError,
            "min_: other must fit in uint8, got -1",
        ),
        (
            lambda: ops.fetch_add_checked(row(torch.int8), 128),
            ValueError,
            "fetch_add_checked: other must fit in int8, got 128",
        ),
        (
            lambda: ops.fetch_xor(row(torch.int16), 1.5),
            ValueError,
            "fetch_xor: other must be an integer for int16 targets, got 1.5",
        ),
        (
            lambda: ops.fetch_add_below(row(torch.int16), 1, 2**15),
            ValueError,
            "fetch_add_below: limit must fit in int16, got 32768",
        ),
        (
            lambda: ops.fetch_add_below(row(torch.float16), 1, None),
            TypeError,
            "fetch_add_below: limit must be a tensor or a number, got NoneType",
        ),
        (
            lambda: ops.fetch_max(row(torch.bfloat16), 1j),
            TypeError,
            "fetch_max: other must be a tensor or a number, got complex",
        ),
        (
            lambda: ops.index_exchange(row(torch.uint8), 0, INDEX, 256),
            ValueError,
            "index_exchange: source must fit in uint8, got 256",
        ),
        (
            lambda: ops.index_compare_exchange(row(torch.int8), 0, INDEX, 0, -129),
            ValueError,
            "index_compare_exchange: desired must fit in int8, got -129",
        ),
        (
            lambda: ops.index_fetch_add(row(I64), 0, 1, 1),
            TypeError,
            "index_fetch_add: index must be a tensor, got int",
        ),
        (
            lambda: ops.add_(row(torch.bfloat16), 1, generator=torch.Generator()),
            ValueError,
            "add_: generator must be None without stochastic_rounding",
        ),
        (
            lambda: ops.sub_(row(torch.float16), 1, generator=torch.Generator()),
            ValueError,
            "sub_: generator must be None without stochastic_rounding",
        ),
        (lambda: ops.add_([1], 1), TypeError, "add_: target must be a tensor, got list"),
        (
            lambda: ops.index_add_(row(I64), 0, [0], 1),
            TypeError,
            "index_add_: index must be a tensor, got list",
        ),
        (
            lambda: package.check_lost_updates(print, [0]),
            TypeError,
            "check_lost_updates: target must be a tensor, have a value, or come with read, "
            "got list",
        ),
        (lambda: ops.wait([0], 0), TypeError, "wait: target must be a tensor, got list"),
        (
            lambda: ops.wait(row(I64), 0.0),
            TypeError,
            "wait: old must be an integer, got float",
        ),
        (
            lambda: ops.wait(row(I32), 2**31),
            ValueError,
            "wait: old must fit in int32, got 2147483648",
        ),
        (
            lambda: ops.wait(row(I32), 0, "1"),
            TypeError,
            "wait: timeout must be a number, got str",
        ),
        (
            lambda: ops.wait(row(I32), 0, float("nan")),
            ValueError,
            "wait: timeout must be a number of seconds, got nan",
        ),
        (
            lambda: ops.notify(row(I32), 0.5),
            TypeError,
            "notify: count must be an integer, got float",
        ),
        (
            lambda: ops.index_add_(row(I64), 0, INDEX, 0.5),
            ValueError,
            "index_add_: source must be an integer for int64 targets, got 0.5",
        ),
        (
            lambda: package.AtomicBool().set_if(1),
            TypeError,
            "set_if: condition must be a bool or a bool tensor, got int",
        ),
        (
            lambda: package.Mutex("ignore"),
            ValueError,
            "Mutex: on_owner_died must be 'raise' or 'recover', got 'ignore'",
        ),
        (
            lambda: package.Mutex().acquire(timeout=-2),
            ValueError,
            "acquire: timeout must be non-negative, or None or -1 for ever, got -2",
        ),
        (
            lambda: package.Mutex().acquire(blocking=False, timeout=1),
            ValueError,
            "acquire: timeout must be -1 or None for a non-blocking call, got one",
        ),
        (
            lambda: package.check_lost_updates(print, torch.zeros(1), workers=1),
            ValueError,
            "check_lost_updates: workers must be at least 2, got 1",
        ),
        (
            lambda: package.check_lost_updates(print, torch.zeros(1), calls=0),
            ValueError,
            "check_lost_updates: calls must be at least 1, got 0",
        ),
    ],
)
def test_wrapper_refuses(call, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        call()


@pytest.mark.parametrize("value", [10**30, fractions.Fraction(1, 2), math.inf])
def test_every_real_number_that_fits_is_taken(value):
    target = torch.zeros(2)
    ops.store_(target, value)
    assert target.eq(float(value)).all()


def test_sparse_tensor_is_refused_by_its_name():
    dense, sparse = torch.zeros(3), torch.zeros(3).to_sparse()
    message = "must be a dense tensor, got layout sparse_coo"
    with pytest.raises(RuntimeError, match=f"^add_: other {message}$"):
        ops.add_(dense, sparse)
    with pytest.raises(RuntimeError, match=f"^fetch_max: target {message}$"):
        ops.fetch_max(sparse, 1)
    with pytest.raises(RuntimeError, match=f"^index_add_: source {message}$"):
        ops.index_add_(dense, 0, torch.tensor([0]), sparse)
