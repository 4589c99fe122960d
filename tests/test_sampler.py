"""SharedBatchSampler deals every batch of an epoch once, in an order of its own."""

from __future__ import annotations

import time
import warnings
from itertools import chain, islice

import pytest
import torch
from support import run_processes, run_threads
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler

from caffe2op_atomics import SharedBatchSampler, ops

N = 103  # batches of 4: the last has 3 indices
EPOCHS = 3


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("seed", [0, 7, -(2**63), 2**63 - 1])
def test_order_is_that_of_distributed_sampler(shuffle, seed):
    alone = DistributedSampler(range(N), num_replicas=1, rank=0, shuffle=shuffle, seed=seed)
    sampler = SharedBatchSampler(N, 4, shuffle, seed)
    for epoch in (0, 1, 2, 12):
        alone.set_epoch(epoch)
        sampler.set_epoch(epoch)
        expected = list(alone)
        assert list(sampler) == [expected[begin : begin + 4] for begin in range(0, N, 4)]


def test_drop_last_leaves_out_the_batch_that_is_not_full():
    for drop_last, sizes in ((False, [4, 4, 2]), (True, [4, 4])):
        sampler = SharedBatchSampler(10, 4, drop_last=drop_last)
        assert (sampler.batch_size, sampler.drop_last) == (4, drop_last)
        assert list(map(len, sampler)) == sizes
        assert len(sampler) == len(sizes)


def test_default_device_and_seed_of_torch_do_not_matter():
    torch.manual_seed(3)
    with torch.device("meta"):
        sampler = SharedBatchSampler(N, 4, seed=7)
        order = list(sampler)
    assert order == list(SharedBatchSampler(N, 4, seed=7))


def count(seen: Tensor, batch: list[int] | Tensor) -> None:
    ops.index_add_(seen, 0, torch.as_tensor(batch), 1)


def draw_all(rank: int, sampler: SharedBatchSampler, seen: Tensor, say: bool) -> None:
    for epoch in range(EPOCHS):
        if say:
            sampler.set_epoch(epoch)
        for batch in sampler:
            count(seen[epoch], batch)
            time.sleep(rank * 0.002)


def check_each_once(seen: Tensor) -> None:
    assert seen.tolist() == [[1] * seen.shape[1]] * EPOCHS


@pytest.mark.parametrize(("method", "say"), [("fork", False), ("fork", True), ("spawn", True)])
@pytest.mark.filterwarnings("ignore:SharedBatchSampler. others drew all")
def test_processes_of_different_speeds_draw_each_index_once_per_epoch(method, say):
    sampler = SharedBatchSampler(N, 4)
    seen = torch.zeros(EPOCHS, N, dtype=torch.int64).share_memory_()
    run_processes(3, draw_all, sampler, seen, say, start_method=method)
    check_each_once(seen)
    assert repr(sampler) == "SharedBatchSampler(epoch 2, 26 of 26 batches drawn)"
    assert sampler.unfinished() == []


@pytest.mark.parametrize("say", [False, True], ids=["counted", "set_epoch"])
@pytest.mark.filterwarnings("ignore:SharedBatchSampler. others drew all")
def test_threads_of_different_speeds_draw_each_index_once_per_epoch(say):
    sampler = SharedBatchSampler(N, 4)
    seen = torch.zeros(EPOCHS, N, dtype=torch.int64)
    run_threads(3, draw_all, sampler, seen, say)
    check_each_once(seen)
    assert sampler.unfinished(live=True) == []


def draw_fast(rank: int, sampler: SharedBatchSampler, seen: Tensor) -> None:
    for (index,) in sampler:
        seen[rank, index] += 1


def test_contended_draws_deal_each_batch_once():
    sampler = SharedBatchSampler(20_000, 1)
    seen = torch.zeros(2, 20_000, dtype=torch.int64).share_memory_()
    run_processes(2, draw_fast, sampler, seen)
    assert seen.sum(1).min() > 0
    assert seen.sum(0).eq(1).all()


def train(rank: int, sampler: SharedBatchSampler, seen: Tensor, workers: int, keep: bool) -> None:
    loader = DataLoader(
        torch.arange(N), batch_sampler=sampler, num_workers=workers, persistent_workers=keep
    )
    assert len(loader) == 26
    for epoch in range(EPOCHS):
        for batch in loader:
            count(seen[epoch], batch)
            time.sleep(rank * 0.002)


@pytest.mark.parametrize(("workers", "keep"), [(0, False), (2, False), (2, True)])
@pytest.mark.filterwarnings("ignore:SharedBatchSampler. others drew all")
def test_data_loaders_hand_out_each_index_once_per_epoch(workers, keep):
    sampler = SharedBatchSampler(N, 4, prefetch=2 * workers)
    seen = torch.zeros(EPOCHS, N, dtype=torch.int64).share_memory_()
    run_processes(2, train, sampler, seen, workers, keep)
    check_each_once(seen)
    assert sampler.unfinished() == sampler.unfinished(1) == []


def test_every_iteration_is_another_epoch():
    sampler = SharedBatchSampler(N, 4)
    orders = [list(sampler) for _ in range(4)]
    for epoch, order in enumerate(orders):
        assert sorted(chain(*order)) == list(range(N))
        sampler = SharedBatchSampler(N, 4)
        sampler.set_epoch(epoch)
        assert list(sampler) == order


def test_iterator_that_draws_nothing_takes_no_part():
    sampler = SharedBatchSampler(8, 4, shuffle=False)
    iter(sampler)
    assert (list(sampler), sampler.epoch) == ([[0, 1, 2, 3], [4, 5, 6, 7]], 1)


def test_what_a_loop_leaves_is_for_the_next_iteration_or_for_others():
    sampler = SharedBatchSampler(12, 4, shuffle=False)
    assert list(islice(sampler, 1)) == [[0, 1, 2, 3]]
    assert sampler.epoch == 0
    assert list(sampler) == [[4, 5, 6, 7], [8, 9, 10, 11]]
    assert list(islice(sampler, 1)) == [[0, 1, 2, 3]]
    assert run_threads(1, lambda _: (sampler.set_epoch(1), list(sampler)))[0][1] == [
        [4, 5, 6, 7],
        [8, 9, 10, 11],
    ]
    assert len(list(sampler)) == 3  # of epoch 2: nothing is left of epoch 1
    assert sampler.epoch == 3


def test_epoch_can_be_any_while_no_batch_is_drawn():
    sampler = SharedBatchSampler(N, 4)
    sampler.set_epoch(5)
    sampler.set_epoch(6)
    assert sampler.epoch == 6
    assert len(list(sampler)) == 26
    sampler.set_epoch(10)
    assert len(list(sampler)) == 26


def test_epoch_in_the_middle_is_not_left():
    sampler = SharedBatchSampler(N, 4)
    next(iter(sampler))
    text = (
        r"^SharedBatchSampler: epoch must be 0 until all its batches are drawn, got 1 when 1 of 26 "
        "were$"
    )
    with pytest.raises(RuntimeError, match=text):
        sampler.set_epoch(1)
    sampler.set_epoch(0)
    assert len(list(sampler)) == 25


def test_epoch_that_another_trainer_began_meanwhile_is_not_left():
    sampler = SharedBatchSampler(N, 4)
    sampler.set_epoch(5)

    def begin_another(_: int) -> None:
        sampler.set_epoch(4)
        next(iter(sampler))

    run_threads(1, begin_another)
    with pytest.raises(RuntimeError, match="epoch must be 4 until all its batches are drawn, got"):
        next(iter(sampler))
    assert repr(sampler) == "SharedBatchSampler(epoch 4, 1 of 26 batches drawn)"


def test_same_epoch_is_not_iterated_twice():
    sampler = SharedBatchSampler(N, 4)
    sampler.set_epoch(3)
    list(sampler)
    for epoch in (3, 0):
        text = f"^set_epoch: epoch must be above 3, whose end this trainer has seen, got {epoch}$"
        with pytest.raises(RuntimeError, match=text):
            sampler.set_epoch(epoch)


def test_trainer_that_comes_too_late_gets_nothing_and_is_told_unless_it_said_its_epoch():
    sampler = SharedBatchSampler(N, 4)
    list(sampler), list(sampler)

    def come_late(_: int) -> None:
        with pytest.warns(UserWarning, match="others drew all of epoch 0 before this trainer beg"):
            assert list(sampler) == []
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            sampler.set_epoch(1)
            assert list(sampler) == []
            assert len(list(sampler)) == 26

    run_threads(1, come_late)
    assert repr(sampler) == "SharedBatchSampler(epoch 2, 26 of 26 batches drawn)"
