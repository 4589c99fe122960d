"""How SharedBatchSampler reaches other processes, by travelling and by name; what it refuses."""

from __future__ import annotations

import copy
import os
import pickle
import re
from multiprocessing.reduction import ForkingPickler

import pytest
import torch
import torch.multiprocessing as mp
from named_files import path_of
from support import TIMEOUT
from torch.utils.data import DataLoader

from caffe2op_atomics import Counter, SharedBatchSampler, list_names
from caffe2op_atomics._tickets_layout import MOST_BATCHES, MOST_EPOCH
from caffe2op_atomics.names import report

ARGUMENTS = {"n": 10, "batch_size": 4, "shuffle": False, "seed": 7, "drop_last": True}


class MySampler(SharedBatchSampler):
    """A subclass of a user."""


def use(*samplers: SharedBatchSampler) -> None:
    for sampler in samplers:
        assert (type(sampler), sampler.prefetch) == (MySampler, 4)
        assert (sampler.batch_size, sampler.drop_last, sampler.epoch) == (4, True, 5)
        assert list(sampler) == [[4, 5, 6, 7]]


def begun(name: str) -> list[SharedBatchSampler]:
    samplers = [MySampler(**ARGUMENTS, prefetch=4, name=of) for of in (None, name)]
    for sampler in samplers:
        sampler.set_epoch(5)
        assert next(iter(sampler)) == [0, 1, 2, 3]
    return samplers


def check_used(samplers: list[SharedBatchSampler]) -> None:
    assert [repr(sampler) for sampler in samplers] == [
        "SharedBatchSampler(epoch 5, 2 of 2 batches drawn)"
    ] * 2


def test_sampler_arrives_shared_with_its_epoch_and_prefetch(start_method, name):
    samplers = begun(name)
    process = mp.get_context(start_method).Process(target=use, args=tuple(samplers))
    process.start()
    process.join(TIMEOUT)
    assert process.exitcode == 0
    check_used(samplers)


def test_sampler_travels_under_both_strategies(strategy, name):
    samplers = begun(name)
    use(*(pickle.loads(ForkingPickler.dumps(sampler)) for sampler in samplers))
    check_used(samplers)


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, pickle.dumps])
def test_copy_and_pickle_raise(way):
    with pytest.raises(
        TypeError, match=r"cannot pickle or copy SharedBatchSampler.*torch.multipro"
    ):
        way(SharedBatchSampler(10, 4))


def test_moved_memory_is_refused():
    sampler = SharedBatchSampler(10, 4)
    draws = iter(sampler)
    next(draws)
    sampler._tensor.data = sampler._tensor.clone()
    for look in (lambda: next(draws), sampler.unfinished, lambda: ForkingPickler.dumps(sampler)):
        with pytest.raises(RuntimeError, match="tensor must stay where it was made"):
            look()


def test_one_name_is_one_sampler(name):
    first, second = (SharedBatchSampler(**ARGUMENTS, name=name) for _ in range(2))
    assert next(iter(first)) == [0, 1, 2, 3]
    assert next(iter(second)) == [4, 5, 6, 7]
    assert first.unfinished(live=True) == second.unfinished(live=True)
    assert len(first.unfinished(live=True)) == 2
    assert second.unlink()
    assert next(iter(SharedBatchSampler(**ARGUMENTS, name=name))) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("argument", "other"),
    [
        ("n", 11),
        ("n", 10_000),
        ("batch_size", 2),
        ("shuffle", True),
        ("seed", -1),
        ("drop_last", False),
    ],
)
def test_name_with_another_argument_is_refused_and_left_alone(name, argument, other):
    sampler = SharedBatchSampler(**ARGUMENTS, name=name)
    next(iter(sampler))
    before = path_of(name).read_bytes()
    text = (
        f"SharedBatchSampler: name '{name}' must have {argument} {int(other)}, got {argument} "
        f"{int(ARGUMENTS[argument])} (if unused: python -m caffe2op_atomics --unlink {name})"
    )
    with pytest.raises(RuntimeError, match=f"^{re.escape(text)}$"):
        SharedBatchSampler(**{**ARGUMENTS, argument: other}, name=name)
    assert path_of(name).read_bytes() == before


def test_names_of_other_kinds_are_refused(name):
    kept = SharedBatchSampler(10, 4, name=name), Counter(name=name + ".c")
    with pytest.raises(RuntimeError, match="must have kind Counter, got kind SharedBatchSampler"):
        Counter(name=name)
    with pytest.raises(RuntimeError, match="must have kind SharedBatchSampler, got kind Counter"):
        SharedBatchSampler(10, 4, name=name + ".c")
    assert all(each.unlink() for each in kept)


def test_list_tells_how_far_the_epoch_is(name):
    sampler = SharedBatchSampler(10, 4, name=name)
    list(sampler)
    sampler.set_epoch(9)
    next(iter(sampler))
    (info,) = (info for info in list_names() if info.name == name)
    assert (info.kind, info.value) == ("SharedBatchSampler", "epoch 9, 1 of 3 batches drawn")
    row = rf"^{name} +SharedBatchSampler +epoch 9, 1 of 3 batches drawn +{os.getpid()} "
    assert re.search(row, report(), re.MULTILINE)


OF = "SharedBatchSampler: "


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n": [1, 2]}, TypeError, OF + "n must be an integer, got list"),
        ({"n": 0}, ValueError, OF + f"n must be from 1 to {2**63 - 1}, got 0"),
        ({"batch_size": 2.0}, TypeError, OF + "batch_size must be an integer, got float"),
        ({"batch_size": 0}, ValueError, OF + f"batch_size must be from 1 to {2**63 - 1}, got 0"),
        ({"shuffle": 1}, TypeError, OF + "shuffle must be a bool, got int"),
        (
            {"seed": 2**63},
            ValueError,
            OF + f"seed must be from {-(2**63)} to {2**63 - 1}, got {2**63}",
        ),
        ({"seed": None}, TypeError, OF + "seed must be an integer, got NoneType"),
        ({"drop_last": "no"}, TypeError, OF + "drop_last must be a bool, got str"),
        (
            {"n": 3, "drop_last": True},
            ValueError,
            OF + f"n and batch_size must make 1 to {MOST_BATCHES} batches, got 0",
        ),
        (
            {"n": 2**30},
            ValueError,
            OF + f"n and batch_size must make 1 to {MOST_BATCHES} batches, got {2**28}",
        ),
        ({"prefetch": -1}, ValueError, OF + f"prefetch must be from 0 to {2**63 - 1}, got -1"),
        ({"prefetch": "4"}, TypeError, OF + "prefetch must be an integer, got str"),
        (
            {"name": "a/b"},
            ValueError,
            OF + "name must have 1 to 200 characters of A-Z a-z 0-9 . _ -, got 'a/b'",
        ),
    ],
)
def test_bad_argument_is_refused(arguments, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        SharedBatchSampler(**{"n": 10, "batch_size": 4, **arguments})


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (1.0, TypeError, "epoch must be an integer, got float"),
        (-1, ValueError, f"epoch must be from 0 to {MOST_EPOCH}, got -1"),
        (MOST_EPOCH + 1, ValueError, f"epoch must be from 0 to {MOST_EPOCH}, got {MOST_EPOCH + 1}"),
    ],
)
def test_bad_epoch_is_refused(wrong, error, message):
    sampler = SharedBatchSampler(10, 4)
    for method in (sampler.set_epoch, sampler.unfinished):
        with pytest.raises(error, match=f"^{method.__name__}: {re.escape(message)}$"):
            method(wrong)
    assert sampler.epoch == 0


def test_greatest_numbers_do():
    sampler = SharedBatchSampler(2**63 - 1, 2**62, shuffle=False, seed=2**63 - 1)
    sampler.set_epoch(MOST_EPOCH)
    assert len(sampler) == 2
    assert sampler._tickets.now() == (0, 0)
    small = SharedBatchSampler(3, 1)
    small.set_epoch(MOST_EPOCH)
    assert len(list(small)) == 3
    assert small.unfinished(live=True) == []


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize(("factor", "needed"), [(None, 4), (3, 6)])
def test_prefetch_that_is_too_small_for_the_data_loader_is_refused(keep, factor, needed):
    options = {"num_workers": 2, "prefetch_factor": factor, "persistent_workers": keep}
    sampler = SharedBatchSampler(10, 4, prefetch=needed - 1)
    loader = DataLoader(torch.arange(10), batch_sampler=sampler, **options)
    text = (
        f"{OF}prefetch must be num_workers x prefetch_factor of the DataLoader, which is {needed}, "
        f"got {needed - 1}"
    )
    with pytest.raises(ValueError, match=f"^{text}$"):
        iter(loader)
    sampler.prefetch = needed
    assert len(list(loader)) == 3


def test_data_loader_that_hands_out_in_another_order_is_refused():
    sampler = SharedBatchSampler(10, 4, prefetch=4)
    loader = DataLoader(torch.arange(10), batch_sampler=sampler, num_workers=2, in_order=False)
    text = f"^{OF}in_order of the DataLoader must be True, got False$"
    with pytest.raises(ValueError, match=text):
        iter(loader)
