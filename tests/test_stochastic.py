"""Stochastic rounding: right on average, always a neighbour, a function of the seed."""

from __future__ import annotations

import math

import pytest
import torch
from support import run_threads
from torch import Tensor

from caffe2op_atomics import ops

atomics = torch.ops.atomics
SMALL = [torch.float16, torch.bfloat16]
dtypes = pytest.mark.parametrize("dtype", SMALL, ids=str)
N = 200_000


def neighbours(value: float, dtype: torch.dtype) -> tuple[float, float]:
    """Return the numbers of ``dtype`` next to ``value``, one on each side."""
    nearest = torch.tensor(value, dtype=torch.float64).to(dtype)
    other = torch.tensor(math.copysign(math.inf, value - nearest.item()), dtype=dtype)
    return tuple(sorted((nearest.item(), torch.nextafter(nearest, other).item())))


CASES = [
    # cell, other, alpha
    (1.0, 1.0, 2.0**-12),
    (1.0, -1.0, 2.0**-12),
    (-3.0, 1.0, 2.0**-11),
    (256.0, 0.5, 1.0),
    (0.1, 0.1, 0.01),
    (-1000.0, 3.0, 0.1),
    (1e-3, 1e-3, 1e-3),
]
SUBNORMAL = [(2.0**-20, 1.0, 2.0**-26), (-(2.0**-18), 1.0, 2.0**-27), (0.0, 1.0, 3 * 2.0**-26)]


@pytest.mark.parametrize(
    ("dtype", "case"),
    [(dtype, case) for dtype in SMALL for case in CASES]
    + [(torch.float16, case) for case in SUBNORMAL],
    ids=str,
)
@pytest.mark.parametrize(("op", "sign"), [(ops.add_, 1), (ops.sub_, -1)])
def test_sum_is_right_on_average_and_a_neighbour_always(op, sign, case, dtype):
    cell, other, alpha = case
    generator = torch.Generator().manual_seed(1)
    target = torch.full((N,), cell, dtype=dtype)
    held, added = target[0].item(), torch.tensor(other, dtype=dtype).item()
    # As the op calculates it, in float32.
    exact = (torch.tensor(held) + torch.tensor(added) * torch.tensor(sign * alpha)).item()
    op(target, other, alpha=alpha, stochastic_rounding=True, generator=generator)

    low, high = neighbours(exact, dtype)
    assert set(target.unique().tolist()) <= {low, high}
    up = (exact - low) / (high - low)
    deviation = math.sqrt(up * (1 - up) / N)
    assert abs(target.eq(high).double().mean().item() - up) <= 5 * deviation + 1e-9


@dtypes
def test_small_updates_arrive_where_rounding_to_the_nearest_loses_them(dtype):
    lost, kept = torch.full((2, 1000), 256.0, dtype=dtype).unbind()
    generator = torch.Generator().manual_seed(2)
    for _ in range(200):
        ops.add_(lost, 0.01)
        ops.add_(kept, 0.01, stochastic_rounding=True, generator=generator)
    assert lost.eq(256).all()
    assert abs(kept.double().mean().item() - 258) < 0.1


@dtypes
def test_exact_sums_special_values_and_overflow_are_not_random(dtype):
    largest = torch.finfo(dtype).max
    for cell, other, expected in [
        (1.0, 2.0, 3.0),
        (0.0, -0.0, 0.0),
        (math.inf, 1.0, math.inf),
        (-math.inf, 1.0, -math.inf),
        (largest, largest, math.inf),
        (-largest, -largest, -math.inf),
        (largest, -largest, 0.0),
    ]:
        target = torch.full((50,), cell, dtype=dtype)
        ops.add_(target, other, stochastic_rounding=True)
        assert target.eq(expected).all()
    target = torch.full((50,), math.nan, dtype=dtype)
    ops.add_(target, 1, stochastic_rounding=True)
    assert target.isnan().all()


@dtypes
def test_result_depends_on_the_seed_and_the_place_alone(dtype):
    start, other = torch.full((100_003,), 1.0, dtype=dtype), torch.tensor(2.0**-10, dtype=dtype)

    def rounded(base: Tensor, seed: int) -> Tensor:
        base.copy_(start)
        atomics.add_.default(base, other, 0.5, seed)
        return base

    first = rounded(torch.empty_like(start), 7)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        parallel = rounded(torch.empty_like(start), 7)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(first, parallel)
    # Another alignment cuts it into other words.
    assert torch.equal(first, rounded(torch.empty(start.numel() + 3, dtype=dtype)[3:], 7))
    assert not torch.equal(first, rounded(torch.empty_like(start), 8))


@dtypes
def test_generator_gives_the_seed(dtype):
    def rounded(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        target = torch.ones(1000, dtype=dtype)
        return ops.add_(target, 2.0**-12, stochastic_rounding=True, generator=generator)

    assert torch.equal(rounded(1), rounded(1))
    assert not torch.equal(rounded(1), rounded(2))


@dtypes
def test_neighbouring_elements_and_consecutive_seeds_are_not_correlated(dtype):
    up = []
    for seed in range(2):
        target = torch.ones(N, dtype=dtype)
        atomics.add_.default(target, torch.tensor(torch.finfo(dtype).eps, dtype=dtype), 0.5, seed)
        up.append(target.gt(1).double() - 0.5)
    bound = 5 * 0.25 / math.sqrt(N)
    for shift in range(1, 9):
        assert abs((up[0][shift:] * up[0][:-shift]).mean().item()) < bound
    assert abs((up[0] * up[1]).mean().item()) < bound


@dtypes
def test_threads_lose_no_stochastic_update(dtype):
    """Whole steps are exact: nothing is left to chance, and every one of them must arrive."""
    target = torch.zeros(50_001, dtype=dtype)

    def work(_: int) -> None:
        for _call in range(30):
            ops.add_(target, 1, stochastic_rounding=True)

    run_threads(3, work)
    assert target.eq(90).all()


def test_default_device_does_not_matter():
    target = torch.zeros(3, dtype=torch.bfloat16)
    with torch.device("meta"):
        ops.add_(target, 1, stochastic_rounding=True)
    assert target.tolist() == [1, 1, 1]
