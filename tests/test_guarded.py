"""The guarded ops against torch, alone: every dtype, stride, bank, first and place in a storage."""

from __future__ import annotations

import pytest
import torch
from op_table import DTYPES, NUMBERS
from torch import Tensor

from caffe2op_atomics import ops

atomics = torch.ops.atomics

STRIPE = 16384
BANKS = [1, 3, 16, 1024]

banks = pytest.mark.parametrize("n", BANKS)
dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=str)
numbers = pytest.mark.parametrize("dtype", NUMBERS, ids=str)

# Each makes a target and may leave cells of its storage that belong to nobody.
PLACES = {
    "small": lambda cells: cells(7),
    "0-dim": lambda cells: cells(3)[1],
    "empty": lambda cells: cells(0, 4),
    "several stripes": lambda cells: cells(41, 1000),
    "middle of a stripe": lambda cells: cells(30_000)[1111:],
    "ends in a stripe": lambda cells: cells(30_000)[: 2 * STRIPE - 1],
    "transposed": lambda cells: cells(130, 170).t(),
    "sliced": lambda cells: cells(90, 300)[5:80:3, 7:290:2],
    "rows far apart": lambda cells: cells(20, 9000)[1::2, :3],
    "large": lambda cells: cells(300, 500),  # for torch's intra-op threads
    "large and strided": lambda cells: cells(300, 1000)[:, ::2],
}
places = pytest.mark.parametrize("place", PLACES)


def cells(dtype: torch.dtype, *shape: int) -> Tensor:
    numbers = torch.arange(torch.Size(shape).numel()).remainder_(31)
    return numbers.view(shape).to(dtype)


def target_in(place: str, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return a target and all that is in its storage."""
    made = []

    def make(*shape: int) -> Tensor:
        made.append(cells(dtype, *shape))
        return made[0]

    return PLACES[place](make), made[0]


def other_like(target: Tensor) -> Tensor:
    return cells(target.dtype, *target.shape).flip(0) if target.dim() else target + target


def expect(target: Tensor, base: Tensor, values: Tensor) -> Tensor:
    """Return what the storage is once ``values`` are in ``target``."""
    expected = base.clone()
    at = (target.data_ptr() - base.data_ptr()) // base.itemsize
    expected.as_strided(target.shape, target.stride(), at).copy_(values)
    return expected


@numbers
@banks
@places
def test_add_changes_each_cell_of_the_target_and_no_other(place, n, dtype):
    target, base = target_in(place, dtype)
    other = other_like(target)
    expected = expect(target, base, target + other)
    assert ops.guarded_add_(atomics.create_mutex(n), target, other) is target
    assert torch.equal(base, expected)


@dtypes
@places
def test_store_exchange_and_load_move_all_cells_of_the_target(place, dtype):
    target, base = target_in(place, dtype)
    before, other = target.clone(), cells(dtype, *target.shape)
    bank = atomics.create_mutex(5)
    assert ops.guarded_store_(bank, target, other) is target
    assert torch.equal(base, expect(target, base, other))
    taken = ops.guarded_exchange(bank, target, before)
    assert torch.equal(taken, other)
    assert torch.equal(base, expect(target, base, before))
    for consistent in (False, True):
        loaded = ops.guarded_load(bank, target, consistent)
        assert torch.equal(loaded, before)
        assert loaded.is_contiguous()
        assert loaded.data_ptr() != target.data_ptr() or not target.numel()


@numbers
@pytest.mark.parametrize("alpha", [0, 1, 2, 3])
def test_alpha_scales_other(alpha, dtype):
    target, other = cells(dtype, 9000), cells(dtype, 9000).flip(0).clamp_(max=5)
    expected = target + other * alpha
    ops.guarded_add_(atomics.create_mutex(3), target, other, alpha)
    assert torch.equal(target, expected)


@numbers
@places
def test_rebase_replaces_what_was_seen_and_moves_what_has_changed(place, dtype):
    target, base = target_in(place, dtype)
    seen, fresh = target.clone(), other_like(target)
    bank = atomics.create_mutex(5)
    ops.guarded_add_(bank, target[..., :1] if target.dim() else target, 3)
    moved = target != seen
    expected = expect(target, base, torch.where(moved, target + (fresh - seen), fresh))
    assert ops.guarded_rebase_(bank, target, seen, fresh) is target
    assert torch.equal(base, expected)


def test_rebase_compares_and_copies_bits():
    """What is written is what was given, where a sum would have been rounded or made a NaN."""
    seen = torch.tensor([torch.nan, torch.inf, 0.0, 1e8, 1.0, 0.0])
    target = seen.clone()
    target[-1] = -0.0
    fresh = torch.tensor([1.0, 2.0, -0.0, 0.1, torch.nan, 5.0])
    ops.guarded_rebase_(atomics.create_mutex(), target, seen, fresh)
    assert torch.equal(target.view(torch.int32), fresh.view(torch.int32))


@pytest.mark.parametrize("shape", [(), (1,), (7,), (5000, 1), (1, 7), (5000, 7)])
def test_other_broadcasts(shape):
    target, other = torch.zeros(5000, 7), torch.rand(shape)
    ops.guarded_add_(atomics.create_mutex(4), target, other)
    assert torch.equal(target, other.expand(5000, 7))


@pytest.mark.parametrize("other", ["transposed", "sliced", "expanded"])
def test_other_may_have_strides(other):
    values = {
        "transposed": torch.rand(100, 200).t(),
        "sliced": torch.rand(400, 300)[::2, ::3],
        "expanded": torch.rand(200, 1).expand(200, 100),
    }[other]
    target = torch.ones(200, 100)
    ops.guarded_add_(atomics.create_mutex(4), target, values)
    assert torch.equal(target, values + 1)


@dtypes
def test_number_is_put_into_every_cell(dtype):
    bank, target = atomics.create_mutex(2), cells(dtype, 5000, 7)
    before = target.clone()
    assert torch.equal(ops.guarded_exchange(bank, target, 1), before)
    assert target.eq(1).all()
    ops.guarded_store_(bank, target, 0)
    assert target.eq(0).all()
    if dtype != torch.bool:
        ops.guarded_add_(bank, target, 2, alpha=3)
        assert target.eq(6).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_small_floats_are_calculated_in_float32_and_rounded_once(dtype):
    eps = torch.finfo(dtype).eps
    target = torch.ones(70, dtype=dtype)
    other = torch.linspace(-3, 3, 70).to(dtype)
    expected = (target.float() + 0.3 * other.float()).to(dtype)
    ops.guarded_add_(atomics.create_mutex(), target, other, 0.3)
    assert (target.float() - expected.float()).abs().max() <= eps
    assert target.eq(expected).sum() >= 69


def test_integers_wrap():
    target = torch.full((5000,), 2**31 - 1, dtype=torch.int32)
    ops.guarded_add_(atomics.create_mutex(), target, 1)
    assert target.eq(-(2**31)).all()


@dtypes
def test_bits_are_moved_as_they_are(dtype):
    """NaN with its payload, and -0.0."""
    bank = atomics.create_mutex()
    bits = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[dtype.itemsize]
    if dtype == torch.bool:
        bits = torch.bool
    high = torch.tensor([0, 1]).to(bits) if bits == torch.bool else torch.tensor([-3, -1]).to(bits)
    source, target = high.view(dtype), torch.zeros(2, dtype=dtype)
    ops.guarded_store_(bank, target, source)
    assert torch.equal(target.view(bits), high)
    assert torch.equal(ops.guarded_load(bank, target).view(bits), high)
    assert torch.equal(ops.guarded_exchange(bank, target, 0).view(bits), high)
