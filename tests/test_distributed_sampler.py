"""SharedBatchSampler in a store: each index once per epoch, by the epochs of the local one."""

from __future__ import annotations

import os
import re
import signal
import time
import warnings
from itertools import chain, islice

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from named_files import ended, in_fork
from stores import client
from support import TIMEOUT, run_processes, run_threads
from torch import Tensor
from torch.utils.data import DataLoader

import caffe2op_atomics as atomics
from caffe2op_atomics.distributed import SharedBatchSampler

N, EPOCHS = 103, 3  # batches of 4: the last has 3 indices
ARGUMENTS = {"n": 10, "batch_size": 4, "shuffle": False, "seed": 7, "drop_last": True}


@pytest.mark.parametrize("options", [{}, {"shuffle": False}, {"seed": 7, "drop_last": True}])
def test_batches_are_those_of_the_local_sampler(open_store, options):
    local = atomics.SharedBatchSampler(N, 4, **options)
    sampler = SharedBatchSampler(N, 4, name="s", store=open_store(), **options)
    assert (len(sampler), sampler.batch_size) == (len(local), local.batch_size)
    for epoch in (0, 1, 12):
        local.set_epoch(epoch)
        sampler.set_epoch(epoch)
        assert list(sampler) == list(local)
    assert sampler.epoch == 13
    shown = f"SharedBatchSampler(name='s', epoch 12, {len(local)} of {len(local)} batches drawn)"
    assert repr(sampler) == shown


def train(rank: int, port: int, name: str, seen: Tensor, workers: int) -> None:
    sampler = SharedBatchSampler(N, 4, prefetch=2 * workers, name=name, store=client(port))
    loader = DataLoader(torch.arange(N), batch_sampler=sampler, num_workers=workers)
    assert len(loader) == 26
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        for batch in loader:
            atomics.ops.index_add_(seen[epoch], 0, batch, 1)
            time.sleep(rank * 0.001)


@pytest.mark.parametrize(("processes", "workers"), [(2, 0), (4, 0), (2, 2)])
def test_trainers_of_different_speeds_get_each_index_once_per_epoch(port, processes, workers):
    seen, name = torch.zeros(EPOCHS, N, dtype=torch.int64), f"each.{processes}.{workers}"
    run_processes(processes, train, port, name, seen.share_memory_(), workers)
    assert seen.tolist() == [[1] * N] * EPOCHS
    sampler = SharedBatchSampler(N, 4, name=name, store=client(port))
    # With workers, no call tells that the last batch is done but the end of the process.
    assert sampler.unfinished() == sampler.unfinished(1) == []


def draw_many(rank: int, port: int, drawn: Tensor) -> None:
    sampler = SharedBatchSampler(drawn.numel(), 1, name="many", store=client(port))
    for (index,) in sampler:
        drawn[index] += 1


def test_four_that_draw_as_fast_as_they_can_draw_each_batch_once(port):
    drawn = torch.zeros(8000, dtype=torch.int64).share_memory_()
    run_processes(4, draw_many, port, drawn)
    assert drawn.eq(1).all()


def hang_at(step: int, port: int, ready) -> None:
    os.setpgid(0, 0)  # together with its workers
    sampler = SharedBatchSampler(40, 1, prefetch=4, name="killed", store=client(port))
    for number, _ in enumerate(DataLoader(torch.arange(40), batch_sampler=sampler, num_workers=2)):
        if number == step:
            ready.set()
            time.sleep(TIMEOUT)


def test_killed_trainer_loses_what_is_listed_and_no_more(port):
    context = mp.get_context("fork")
    ready = context.Event()
    victim = context.Process(target=hang_at, args=(5, port, ready))
    victim.start()
    assert ready.wait(TIMEOUT)
    os.killpg(victim.pid, signal.SIGKILL)
    victim.join(TIMEOUT)
    assert victim.exitcode == -signal.SIGKILL
    sampler = SharedBatchSampler(40, 1, name="killed", store=client(port))
    rest = [index for (index,) in sampler]
    lost = [index for (index,) in sampler.unfinished(0)]
    assert len(lost) == 5  # prefetch + 1
    assert lost == torch.randperm(40, generator=torch.Generator().manual_seed(0)).tolist()[5:10]
    assert len(rest) == 30
    list(sampler)
    assert [index for (index,) in sampler.unfinished(0)] == lost
    list(sampler)
    text = "unfinished: epoch must be 2, or the one before, got 0"
    with pytest.raises(ValueError, match=f"^{text}$"):
        sampler.unfinished(0)


def test_forked_child_does_not_finish_what_its_parent_drew():
    sampler = SharedBatchSampler(8, 1, shuffle=False, name="s", store=dist.HashStore())
    draws = iter(sampler)
    next(draws)
    assert ended(in_fork(lambda: sampler._tickets.finish(draws._held[0]))) == 0
    next(draws)
    assert sampler.unfinished() == [[1]]


def test_records_of_old_epochs_are_deleted():
    store = dist.HashStore()
    sampler = SharedBatchSampler(200, 1, name="s", store=store)
    for epoch in (0, 1, 2, 3, 9):
        sampler.set_epoch(epoch)
        list(sampler)
    kept = {re.sub(".*/done", "done", key) for key in store.list_keys() if "/done." in key}
    assert kept == {f"done.9.{word}" for word in range(4)}


def other(store: dist.Store) -> SharedBatchSampler:
    """A trainer of another host."""
    return SharedBatchSampler(N, 4, name="s", store=store)


def test_what_a_loop_leaves_is_for_others_and_its_epoch_is_not_left():
    store = dist.HashStore()
    sampler = other(store)
    assert len(list(islice(sampler, 1))) == 1
    text = "epoch must be 0 until all its batches are drawn, got 1 when 1 of 26 were"
    with pytest.raises(RuntimeError, match=f"^SharedBatchSampler: {text}$"):
        sampler.set_epoch(1)
    late = other(store)
    late._epoch = 1  # as if it had been asked to before the batch was drawn
    with pytest.raises(RuntimeError, match=text):
        next(iter(late))
    assert len(list(other(store))) == 25
    assert len(list(sampler)) == 26  # of epoch 1: nothing is left of epoch 0


def test_epoch_that_others_passed_over_has_no_batches_any_more():
    store = dist.HashStore()
    slow, fast = other(store), other(store)
    fast.set_epoch(5)
    next(iter(fast))
    slow.set_epoch(5)
    for epoch in (0, 3, 4):
        slow = other(store)
        slow._epoch = epoch
        with pytest.warns(UserWarning, match=f"others drew all of epoch {epoch} before this"):
            assert list(slow) == []
    assert repr(fast).endswith("epoch 5, 1 of 26 batches drawn)")
    assert len(list(fast)) == 25


def test_epoch_that_was_left_without_a_draw_has_nothing_unfinished():
    store = dist.HashStore()
    sampler = other(store)
    sampler.set_epoch(1)
    draws = iter(sampler)
    first = next(draws)
    assert (sampler.unfinished(0), sampler.unfinished()) == ([], [first])


def test_trainer_that_comes_too_late_gets_nothing():
    store = dist.HashStore()
    late = other(store)
    list(other(store))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        late.set_epoch(0)
        assert list(late) == []
        assert len(list(late)) == 26


@pytest.mark.filterwarnings("ignore:SharedBatchSampler. others drew all")
def test_threads_are_trainers_of_their_own(open_store):
    sampler = SharedBatchSampler(N, 4, name="s", store=open_store())
    drawn = run_threads(3, lambda _: list(sampler))
    assert sorted(chain(*chain(*drawn))) == list(range(N))


@pytest.mark.parametrize(
    ("argument", "wrong"),
    [("n", 11), ("batch_size", 2), ("shuffle", True), ("seed", -1), ("drop_last", False)],
)
def test_name_with_another_argument_is_refused(argument, wrong):
    store = dist.HashStore()
    sampler = SharedBatchSampler(**ARGUMENTS, name="s", store=store)
    text = (
        f"SharedBatchSampler: name 's' must have {argument} {int(wrong)}, got {argument} "
        f"{int(ARGUMENTS[argument])}"
    )
    with pytest.raises(RuntimeError, match=f"^{re.escape(text)}$"):
        SharedBatchSampler(**{**ARGUMENTS, argument: wrong}, name="s", store=store)
    assert len(list(sampler)) == 2


def test_prefetch_that_is_too_small_for_the_data_loader_is_refused():
    sampler = SharedBatchSampler(10, 4, prefetch=3, name="s", store=dist.HashStore())
    text = "prefetch must be num_workers x prefetch_factor of the DataLoader, which is 4, got 3"
    with pytest.raises(ValueError, match=f"^SharedBatchSampler: {text}$"):
        iter(DataLoader(torch.arange(10), batch_sampler=sampler, num_workers=2))
