"""Large calls share torch's intra-op threads, except in a forked child, and reach every element."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from support import run_processes

from caffe2op_atomics import ops

SHAPES = [(300_000,), (3, 100_001), (70_000, 5), (40, 50, 60, 2)]


@pytest.fixture(params=[1, 2, 5])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("transposed", [False, True])
def test_large_targets_are_cut_without_a_gap_or_an_overlap(transposed, shape, threads):
    target = torch.zeros(shape, dtype=torch.int32)
    other = torch.arange(target.numel(), dtype=torch.int32).reshape(shape)
    if transposed:
        target, other = target.transpose(0, -1), other.transpose(0, -1)
    assert ops.fetch_add(target, other).eq(0).all()
    assert torch.equal(ops.fetch_max(target, other[:1]), other)  # broadcast
    ops.store_(target, other)
    assert torch.equal(ops.load(target), other)
    old, success = ops.compare_exchange(target, other, -1)
    assert torch.equal(old, other)
    assert success.all()
    assert target.eq(-1).all()


@pytest.mark.parametrize("width", [1, 3, 100_000])
def test_indexed_results_do_not_depend_on_the_number_of_threads(width, threads):
    generator = torch.Generator().manual_seed(width)
    count = max(300_000 // width, 4)
    index = torch.randint(0, 50, (count,), generator=generator)
    source = torch.randn(count, width, generator=generator)
    results = []
    for number in (1, threads):
        torch.set_num_threads(number)
        target = torch.ones(50, width)
        old = ops.index_fetch_add(target, 0, index, source)
        ops.index_add_(target, 0, index, source, alpha=0.3)
        results.append((target, old))
    for one, many in zip(*results, strict=True):
        assert torch.equal(one, many)


def add_in_child(_: int, target: torch.Tensor) -> None:
    torch.set_num_threads(2)
    for _call in range(5):
        ops.add_(target, 1)
        ops.index_add_(target.view(1000, -1), 0, torch.arange(1000), 1)


def test_child_that_is_forked_after_a_large_op_does_not_hang():
    """OpenMP's threads are not there in the child; a call that wanted them would wait for ever."""
    target = torch.zeros(1_000_000).share_memory_()
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        ops.add_(target, 1)
        torch.ones(1_000_000).add_(1)  # torch has started its threads too
        run_processes(2, add_in_child, target, start_method="fork")
    finally:
        torch.set_num_threads(before)
    assert target.eq(1 + 2 * 5 * 2).all()


USE_OF_THREADS = """
import torch, os
from caffe2op_atomics import ops
torch.set_num_threads(1)
target = torch.zeros(1_000_000)
torch.set_num_threads({threads})
other = torch.ones(())
before = len(os.listdir("/proc/self/task"))
ops.add_(target, other)
print(len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.parametrize("threads", [1, 3])
def test_set_num_threads_is_honoured(threads):
    result = subprocess.run(
        [sys.executable, "-c", USE_OF_THREADS.format(threads=threads)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert int(result.stdout) == threads - 1  # started by the call, beside the caller's


def test_elements_behind_two_gigabytes_are_found(tmp_path):
    """In a sparse file, of which only what is updated gets memory."""
    n = 2**31 + 8
    path = tmp_path / "memory"
    with path.open("wb") as file:
        file.truncate(n)
    target = torch.from_file(str(path), shared=True, size=n, dtype=torch.int8)
    ends, one = torch.tensor([n - 1, 0, n - 1]), torch.ones(3, dtype=torch.int8)
    bank = torch.ops.atomics.create_mutex(2)
    ops.index_add_(target, 0, ends, 1)
    assert ops.index_fetch_add(target, 0, ends, one).tolist() == [2, 1, 3]
    ops.guarded_index_add_(bank, target, 0, ends, 1)
    ops.add_(target[n - 3 :], 10)
    ops.add_(target[7 :: 2**30], 20)
    ops.guarded_add_(bank, target[7 :: 2**30], 20)
    assert torch.ops.atomics.fetch_add.int(target[n - 1], 1) == 56
    assert ops.guarded_load(bank, target[n - 8 :]).tolist() == [0, 0, 0, 0, 0, 10, 10, 57]
    assert target[:9].tolist() == [3, 0, 0, 0, 0, 0, 0, 40, 0]
    assert target[2**30 + 6 :][:3].tolist() == [0, 40, 0]


@pytest.mark.slow
def test_more_than_two_gigabytes_are_reached_to_the_last_element():
    n = 2**31 + 5
    target = torch.zeros(n, dtype=torch.int8)
    ops.add_(target, 1)
    target[-1] += 1
    old = ops.fetch_add(target[n - 7 :], 1)
    assert old.tolist() == [1] * 6 + [2]
    ops.index_add_(target, 0, torch.tensor([n - 1, 0, n - 1]), 1)
    assert target[-1] == 5
    assert target[0] == 2
    assert target[1 : n - 7].eq(1).all()
