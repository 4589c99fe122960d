"""Replicas of several hosts lose nothing, count nothing twice and end equal.

When Bucket.rebase writes what was agreed, instead of rebasing, the tests of totals fail.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
from ranks import join_workers, run_ranks, run_workers
from torch import Tensor, nn

from caffe2op_atomics import GuardedTensor, foreach_add_, optim
from caffe2op_atomics.distributed import Replica

BF16 = torch.bfloat16
SHAPES = {torch.int64: (70, 90), torch.float32: (9000,), torch.float64: (300,), torch.uint8: (77,)}
CALLS = 300
WORKERS = 2


def shared(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.zeros(shape, dtype=dtype).share_memory_()


def bits(tensor: Tensor) -> Tensor:
    return tensor.contiguous().view(-1).view(torch.uint8)


def assert_same_on_all(results: list[Tensor]) -> None:
    for each in results:
        assert torch.equal(bits(each[0]), bits(each[-1]))
        assert all(torch.equal(bits(each[0]), bits(other)) for other in each)


def add(tensors: list[GuardedTensor], barrier: Any, calls: int) -> None:
    torch.set_num_threads(1)
    ones = [torch.ones_like(each.tensor) for each in tensors]
    barrier.wait(60)
    for _ in range(calls):
        for tensor, one in zip(tensors, ones, strict=True):
            tensor.add_(one)


def add_on_a_host(rank: int, barrier: Any, results: list[Tensor], options: dict) -> None:
    tensors = [GuardedTensor(shape, dtype=dtype) for dtype, shape in SHAPES.items()]
    workers = run_workers(WORKERS, add, tensors, barrier, CALLS)
    with Replica(tensors, period=0.002, bucket_bytes=5000, **options) as replica:
        barrier.wait(60)
        join_workers(workers)
        replica.check()
    for tensor, result in zip(tensors, results, strict=True):
        result[rank] = tensor.tensor


@pytest.mark.parametrize("compression", [None, BF16])
@pytest.mark.parametrize("size", [2, 4])
def test_totals_are_exact(tmp_path, size, compression):
    results = [shared(size, *shape, dtype=dtype) for dtype, shape in SHAPES.items()]
    barrier = mp.get_context("fork").Barrier(size * (WORKERS + 1))
    run_ranks(size, tmp_path, add_on_a_host, barrier, results, {"compression": compression})
    for result in results:
        total = size * WORKERS * CALLS
        assert result.eq(total % 256 if result.dtype == torch.uint8 else total).all()


def add_noise(rank: int, results: list[Tensor], options: dict) -> None:
    torch.manual_seed(rank)
    tensors = [GuardedTensor(each[rank]) for each in (result.clone() for result in results)]
    with Replica(tensors, period=0.001, bucket_bytes=3000, **options):
        for _ in range(300):
            foreach_add_(tensors, [torch.randn_like(each.tensor) for each in tensors], 0.01)
    for tensor, result in zip(tensors, results, strict=True):
        result[rank] = tensor.tensor


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("compression", [None, BF16])
def test_rounded_sums_end_with_the_same_bits(tmp_path, compression, average):
    dtypes = [torch.float32, torch.float64, torch.float16, BF16]
    results = [shared(3, 1000, dtype=dtype) for dtype in dtypes]
    run_ranks(3, tmp_path, add_noise, results, {"compression": compression, "average": average})
    assert_same_on_all(results)
    assert all(result.ne(0).any() for result in results)


def step_on_a_host(rank: int, result: Tensor) -> None:
    model = nn.Linear(50, 30, bias=False)
    model.weight = nn.Parameter(torch.full((50, 30), float(rank)).t())  # not contiguous
    model.share_memory()
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    with Replica(optimizer, period=0.001, bucket_bytes=1000) as replica:
        for _ in range(200):
            optimizer.step(grads=[-torch.ones(30, 50)])
            replica.check()
    result[rank] = model.weight.detach()


def test_steps_of_an_optimizer_are_summed(tmp_path):
    result = shared(2, 30, 50)
    run_ranks(2, tmp_path, step_on_a_host, result)
    assert result.eq(400).all()  # rank 1 started with the values of rank 0


def average_on_a_host(rank: int, result: Tensor) -> None:
    tensor = GuardedTensor([500])
    with Replica(tensor, period=0.01, average=True):
        tensor.add_(torch.full((500,), 4.0 * rank))
    result[rank] = tensor.tensor


def test_average_applies_the_mean(tmp_path):
    result = shared(3, 500)
    run_ranks(3, tmp_path, average_on_a_host, result)
    assert result.eq(4).all()


def small_steps(rank: int, result: Tensor) -> None:
    tensor = GuardedTensor(torch.full((10,), 256.0, dtype=BF16))
    with Replica(tensor, period=0.001) as replica:
        for _ in range(10):
            done = replica.rounds
            if rank == 0:
                tensor.store_(tensor.tensor + 2)  # the next bfloat16
            while replica.rounds < done + 2:
                replica.check()
    result[rank] = replica.state_dict()["values"][0]


def test_sums_of_small_floats_are_float32(tmp_path):
    result = shared(2, 10)
    run_ranks(2, tmp_path, small_steps, result)
    assert result.eq(276).all()


def keep_special_values(rank: int, result: Tensor) -> None:
    special = torch.tensor([torch.nan, torch.inf, -torch.inf, -0.0, 0.0, 1.0])
    tensor, minimum = GuardedTensor(special), GuardedTensor(torch.full((3,), torch.inf))
    with Replica([tensor, minimum, GuardedTensor([0])], period=0.001):
        tensor.add_(torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, 1.0]))
    result[rank] = tensor.tensor
    assert minimum.tensor.eq(torch.inf).all()


def test_what_is_not_finite_stays_and_ends(tmp_path):
    result = shared(2, 6)
    run_ranks(2, tmp_path, keep_special_values, result)
    assert_same_on_all([result])
    expected = torch.tensor([torch.nan, torch.inf, -torch.inf, 0.0, 0.0, 3.0])
    assert torch.equal(result[0].nan_to_num(7, 8, 9), expected.nan_to_num(7, 8, 9))


RANGE = [1e-42, 1e-36 / 3, 1e-30 / 3, 3.4e38, torch.inf, torch.nan]


def add_out_of_range(rank: int, results: list[Tensor]) -> None:
    tensors = [GuardedTensor(torch.zeros_like(result[rank])) for result in results]
    with Replica(tensors, period=0.001, compression=BF16):
        if rank == 0:
            for tensor in tensors:
                tensor.add_(torch.tensor(RANGE, dtype=tensor.dtype))
    for tensor, result in zip(tensors, results, strict=True):
        result[rank] = tensor.tensor


def test_what_bfloat16_cannot_hold_ends_when_compressed(tmp_path):
    results = [shared(2, len(RANGE), dtype=dtype) for dtype in (torch.float32, torch.float64)]
    run_ranks(2, tmp_path, add_out_of_range, results)
    assert_same_on_all(results)
    for result in results:
        added = torch.tensor(RANGE, dtype=result.dtype)
        assert ((result[0] - added)[:3].abs() <= 2.0**-134).all()
        assert torch.equal(result[0, 3:].isnan(), added[3:].isnan())
        assert result[0, 3:5].isposinf().all()


def save_while_training(rank: int, values: Tensor, rounds: Tensor) -> None:
    tensor = GuardedTensor([3000], dtype=torch.int64)
    with Replica(tensor, period=0.002, bucket_bytes=4000) as replica:
        for k in range(values.size(1)):
            for _ in range(20):
                tensor.add_(1 + rank)
            time.sleep(0.001)  # or all of it is in one round
            state = replica.state_dict()
            rounds[rank, k], values[rank, k] = state["round"], state["values"][0]


def test_state_is_what_all_agreed_on_in_a_round(tmp_path):
    values = shared(2, 200, 3000, dtype=torch.int64)
    rounds = shared(2, 200, dtype=torch.int64)
    run_ranks(2, tmp_path, save_while_training, values, rounds)
    of_round = [dict(zip(rounds[r].tolist(), values[r], strict=True)) for r in range(2)]
    common = of_round[0].keys() & of_round[1].keys()
    assert len(common) > 3
    assert all(torch.equal(of_round[0][k], of_round[1][k]) for k in common)


def go_on(rank: int, states: list[dict[str, Any]], result: Tensor) -> None:
    tensors = [GuardedTensor(torch.full((40,), 99.0)), GuardedTensor([7], dtype=torch.int64)]
    with Replica(tensors, state=states[rank], period=0.01) as replica:
        assert replica.rounds >= 12
    result[rank] = torch.cat([tensors[0].tensor, tensors[1].tensor])


def test_ranks_go_on_from_the_latest_state(tmp_path):
    def state(count: int) -> dict[str, Any]:
        values = [torch.full((40,), float(count)), torch.full((7,), 10 * count)]
        return {"round": count, "values": values}

    result = shared(3, 47)
    run_ranks(3, tmp_path, go_on, [state(3), state(12), None], result)
    expected = torch.cat([torch.full((40,), 12.0), torch.full((7,), 120.0)])
    assert torch.equal(result, expected.expand(3, 47))


def save_while_another_is_slow(rank: int) -> None:
    replica = Replica(GuardedTensor([100]), period=0.001 if rank == 0 else 60.0, timeout=61)
    time.sleep(0.1)  # rank 0 is in the second round
    if rank == 0:
        begin = time.monotonic()
        replica.state_dict()
        assert time.monotonic() - begin < 1
    else:
        time.sleep(1.5)
    replica.finish()


def test_state_waits_for_no_other_host(tmp_path):
    run_ranks(2, tmp_path, save_while_another_is_slow)
