"""What only a GPU shows: many blocks, streams, processes, late errors, graphs."""

from __future__ import annotations

import os
from typing import ClassVar

import pytest
import torch
import torch.multiprocessing as mp
from op_table import INTEGERS, NUMBERS
from support import NEEDS_GPU, TIMEOUT
from torch import Tensor

from caffe2op_atomics import is_supported, ops

pytestmark = NEEDS_GPU

MANY = 1_000_000
REPLAYS = 5
SMALL = (torch.uint8, torch.int8, torch.int16, torch.float16, torch.bfloat16)


def zeros(*size: int, dtype: torch.dtype) -> Tensor:
    return torch.zeros(*size, dtype=dtype, device="cuda")


def ones(*size: int, dtype: torch.dtype) -> Tensor:
    return torch.ones(*size, dtype=dtype, device="cuda")


def two_streams() -> list[torch.cuda.Stream]:
    """Two that sleep while calls are queued: a kernel ends sooner than the next call is made."""
    streams = [torch.cuda.Stream(), torch.cuda.Stream()]
    for stream in streams:
        with torch.cuda.stream(stream):
            torch.cuda._sleep(200_000_000)  # cycles, about 0.1 s
    return streams


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("rows", [1, 7, 5000])
def test_blocks_that_name_the_same_rows_lose_nothing(rows, dtype):
    target = zeros(rows, dtype=dtype)
    index = torch.arange(MANY, device="cuda") % rows
    ops.index_add_(target, 0, index, ones(MANY, dtype=dtype))
    assert target.tolist() == torch.bincount(index, minlength=rows).tolist()


@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
@pytest.mark.parametrize("width", [3, 8, 64])
def test_rows_that_are_named_often_lose_nothing(width, dtype):
    target = zeros(5, width, dtype=dtype)
    index = torch.arange(500, device="cuda") % 5
    ops.index_add_(target, 0, index, ones(500, width, dtype=dtype))
    assert target.eq(100).all()


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64], ids=str)
def test_each_ticket_is_drawn_once(dtype):
    target = zeros(2, dtype=dtype)
    index = torch.arange(MANY, device="cuda") % 2
    drawn = ops.index_fetch_add(target, 0, index, ones(MANY, dtype=dtype))
    assert target.tolist() == [MANY // 2] * 2
    for row in (0, 1):
        assert (
            drawn[index == row]
            .sort()
            .values.equal(torch.arange(MANY // 2, dtype=dtype, device="cuda"))
        )


@pytest.mark.parametrize("scope", ["system", "device"])
@pytest.mark.parametrize("dtype", [torch.int64, torch.float32, torch.float16], ids=str)
def test_two_streams_lose_nothing(dtype, scope):
    n, times = 100_003, 100
    target, one = zeros(n, dtype=dtype), ones(n, dtype=dtype)
    torch.cuda.synchronize()
    streams = two_streams()
    for _ in range(times):
        for stream in streams:
            with torch.cuda.stream(stream):
                ops.add_(target, one, scope=scope)
    torch.cuda.synchronize()
    assert target.eq(2 * times).all()


def test_event_orders_two_streams():
    first, second = torch.cuda.Stream(), torch.cuda.Stream()
    target, one = zeros(MANY, dtype=torch.int64), ones(MANY, dtype=torch.int64)
    torch.cuda.synchronize()
    event = torch.cuda.Event()
    with torch.cuda.stream(first):
        torch.cuda._sleep(10_000_000)
        ops.add_(target, one)
        event.record()
    with torch.cuda.stream(second):
        event.wait()
        found = ops.fetch_add(target, one)
    torch.cuda.synchronize()
    assert found.eq(1).all()
    assert target.eq(2).all()


@pytest.mark.parametrize("dtype", SMALL, ids=str)
def test_neighbours_in_one_word_are_kept(dtype):
    """Two streams change every second element each, of which two or four lie in a word."""
    n, times = 20_001, 50
    target = zeros(n, dtype=dtype)
    torch.cuda.synchronize()
    streams = two_streams()
    for _ in range(times):
        for start, stream in enumerate(streams):
            with torch.cuda.stream(stream):
                half = target[start::2]
                ops.add_(half, ones(len(half), dtype=dtype), alpha=1 + start)
    torch.cuda.synchronize()
    assert target[::2].eq(times).all()
    assert target[1::2].eq(2 * times).all()


@pytest.mark.skipif(
    os.environ.get("CAFFE2OP_ATOMICS_CHECK") == "1", reason="a call raises itself then"
)
@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_index_that_does_not_fit_is_left_out_and_raised_by_the_next_call(dtype):
    target = zeros(3, dtype=dtype)
    index = torch.tensor([0, 3, 2, -1], device="cuda")
    ops.index_add_(target, 0, index, ones(4, dtype=dtype))
    torch.cuda.synchronize()
    with pytest.raises(
        RuntimeError, match=r"^index_add_: index must lie in \[0, 3\), got (3|-1) in an earlier"
    ):
        ops.add_(target, target.clone())
    assert target.tolist() == [1, 0, 1]  # and the context is usable
    ops.add_(target, ones(3, dtype=dtype))
    assert target.tolist() == [2, 1, 2]


def over(pinned: Tensor) -> Tensor:
    """A CUDA tensor over the memory of a pinned one of int64."""

    class Array:
        __cuda_array_interface__: ClassVar = {
            "shape": tuple(pinned.shape),
            "typestr": "<i8",
            "data": (pinned.data_ptr(), False),
            "version": 3,
        }

    return torch.as_tensor(Array(), device="cuda")


def test_cpu_and_gpu_update_one_pinned_word_or_are_refused():
    pinned = torch.zeros(10_000, dtype=torch.int64, pin_memory=True)
    target, one = over(pinned), torch.ones_like(pinned)
    assert target.is_cuda
    assert ops.load(ops.store_(target, 5)).eq(5).all()
    ops.add_(target, 1, scope="device")
    torch.cuda.synchronize()
    assert pinned.eq(6).all()
    if not is_supported("add_", torch.int64, "cuda", host_memory=True):
        for call in (
            lambda: ops.add_(target, 1),
            lambda: torch.ops.atomics.add_.int(target[:1], 1),
        ):
            with pytest.raises(
                RuntimeError, match=r"^add_: target must lie in memory that cuda:0 updates atomical"
            ):
                call()
        assert pinned.eq(6).all()
        return
    for _ in range(300):
        ops.add_(target, 1)
        ops.add_(pinned, one)
    torch.cuda.synchronize()
    assert pinned.eq(606).all()


@pytest.fixture
def other_gpu() -> str:
    """A GPU that adds to the memory of the first one over their link."""
    if torch.cuda.device_count() < 2:
        pytest.skip("one GPU")
    try:
        ops.add_(zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64, device="cuda:1"))
    except RuntimeError as error:
        if "with atomics over its link" not in str(error):
            raise
        pytest.skip("no GPU whose link to the first one has atomics")
    return "cuda:1"


@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
def test_two_gpus_add_to_one_tensor_and_lose_nothing(other_gpu, dtype):
    n, times = 100_003, 50
    target = zeros(n, dtype=dtype)
    addends = [torch.ones(n, dtype=dtype, device=device) for device in ("cuda:0", other_gpu)]
    index = [torch.arange(n, device=addend.device) for addend in addends]
    torch.cuda.synchronize(0)
    for device in ("cuda:0", other_gpu):  # while calls are queued
        with torch.cuda.device(device):
            torch.cuda._sleep(200_000_000)
    for _ in range(times // 2):
        for k, addend in enumerate(addends):
            ops.add_(target, addend)
            ops.sub_(target, addend, alpha=-1)
            ops.index_add_(target, 0, index[k], addend, alpha=-1)
    for device in ("cuda:0", other_gpu):
        torch.cuda.synchronize(device)
    assert target.eq(times).all()


def test_events_order_the_streams_of_two_gpus(other_gpu):
    target = zeros(MANY, dtype=torch.int64)
    one = torch.ones(MANY, dtype=torch.int64, device=other_gpu)
    torch.cuda._sleep(10_000_000)
    ops.add_(target, 1)
    torch.cuda.current_stream(other_gpu).wait_stream(torch.cuda.current_stream(0))
    ops.add_(target, one)
    torch.cuda.current_stream(0).wait_stream(torch.cuda.current_stream(other_gpu))
    assert ops.fetch_add(target, 1).eq(2).all()


def test_addition_to_another_gpu_is_of_the_scope_of_the_system(other_gpu):
    target, one = zeros(1, dtype=torch.int64), torch.ones(1, dtype=torch.int64, device=other_gpu)
    with pytest.raises(
        RuntimeError,
        match=r"^add_: scope must be 'system' for tensors on two devices, got 'device'",
    ):
        ops.add_(target, one, scope="device")
    with pytest.raises(RuntimeError, match=r"^min_: other must be on cuda:0 like target, got cuda"):
        ops.min_(target, one)
    assert target.tolist() == [0]


def test_operands_have_to_be_on_the_device():
    target = zeros(3, dtype=torch.float32)
    for call in (
        lambda: ops.add_(target, torch.ones(3)),
        lambda: ops.index_add_(target, 0, torch.tensor([1]).cuda(), torch.ones(1)),
    ):
        with pytest.raises(RuntimeError, match=r"must be on cuda:0 like target, got cpu"):
            call()
    with pytest.raises(RuntimeError, match=r"must be on cpu like target, got cuda:0"):
        torch.ops.atomics.add_(torch.zeros(3), target)
    assert target.tolist() == [0, 0, 0]


def add_often(target: Tensor, times: int, barrier) -> None:
    one = torch.ones_like(target)
    barrier.wait(TIMEOUT)
    for _ in range(times):
        ops.add_(target, one)
        ops.index_add_(target, 0, torch.zeros(4, dtype=torch.int64, device="cuda"), one[:4])
    torch.cuda.synchronize()


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32], ids=str)
def test_processes_lose_nothing_over_ipc(dtype):
    context = mp.get_context("spawn")
    target, times = zeros(1000, dtype=dtype), 200
    barrier = context.Barrier(2)
    crew = [context.Process(target=add_often, args=(target, times, barrier)) for _ in range(2)]
    for worker in crew:
        worker.start()
    for worker in crew:
        worker.join(TIMEOUT)
        assert worker.exitcode == 0
    assert target[1:].eq(2 * times).all()
    assert target[0].item() == 2 * times * 5


def test_captured_op_adds_once_for_each_replay():
    target, one = zeros(1000, dtype=torch.float32), ones(1000, dtype=torch.float32)
    index = torch.arange(1000, device="cuda")
    ops.add_(target, one)  # warm
    ops.index_add_(target, 0, index, one)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        ops.add_(target, one)
        ops.index_add_(target, 0, index, one)
    for _ in range(REPLAYS):
        graph.replay()
    torch.cuda.synchronize()
    assert target.eq(2 + 2 * REPLAYS).all()


def test_number_is_refused_while_a_stream_is_captured():
    target, one = zeros(1, dtype=torch.int64), ones(1, dtype=torch.int64)
    torch.ops.atomics.fetch_add(target, 1)  # warm
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        with pytest.raises(
            RuntimeError, match=r"^fetch_add: call must not be captured, which cann"
        ):
            torch.ops.atomics.fetch_add(target, 1)
        ops.add_(target, one)
    graph.replay()
    torch.cuda.synchronize()
    assert target.tolist() == [2]
