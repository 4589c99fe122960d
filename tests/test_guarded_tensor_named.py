"""GuardedTensor by name: attached or made exactly once, and never half-made."""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import signal
import time

import pytest
import torch
import torch.multiprocessing as mp
from named_files import ended, in_fork, outputs, path_of, run_forks, start
from op_table import DTYPES
from support import TIMEOUT

from caffe2op_atomics import Counter, GuardedTensor, LeftoverWarning, list_names, snapshot


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 1, 3), (5000, 3)], ids=str)
def test_who_attaches_finds_the_values_of_the_first(name, shape, dtype):
    start = torch.arange(torch.Size(shape).numel()).reshape(shape).to(dtype)
    first = GuardedTensor(start, name=name)
    second = GuardedTensor(shape, dtype=dtype, name=name)
    assert second.snapshot().equal(start)
    second.store_(1)
    assert first.tensor.eq(1).all()
    assert first.tensor.is_contiguous()
    assert (first.name, second.name) == (name, name)
    assert start.is_shared() is False, "the values are copied, and the tensor is left alone"
    assert second.unlink()
    assert not first.unlink()
    assert GuardedTensor(start, name=name).snapshot().equal(start)


@pytest.mark.parametrize(
    ("data", "dtype", "rule"),
    [
        ([3, 2], torch.float32, "have dimensions 2, got dimensions 1"),
        ([4], torch.float32, "have size(0) 4, got size(0) 3"),
        ([3], torch.int32, "have dtype int32, got dtype float32"),
    ],
)
def test_another_tensor_of_the_name_is_refused(name, data, dtype, rule):
    GuardedTensor([3], name=name)
    start = re.escape(f"GuardedTensor: name {name!r} must {rule} (if unused: ")
    with pytest.raises(RuntimeError, match=f"^{start}"):
        GuardedTensor(data, dtype=dtype, name=name)
    with pytest.raises(RuntimeError, match="must have kind Counter, got kind GuardedTensor"):
        Counter(name=name)


def test_a_named_one_is_guarded_once_and_may_lend_its_bank(name):
    named = GuardedTensor(torch.ones(3), name=name)
    with pytest.raises(RuntimeError, match="data must be guarded once"):
        GuardedTensor(named.tensor)
    other = GuardedTensor([2], bank=named).add_(2)
    assert [each.tolist() for each in snapshot(named, other)] == [[1, 1, 1], [2, 2]]
    with pytest.raises(RuntimeError, match="got a file that was mapped by from_file"):
        multiprocessing.reduction.ForkingPickler.dumps(other)


def test_the_list_of_names_says_what_it_is(name):
    GuardedTensor([2, 3], dtype=torch.bfloat16, name=name)
    (info,) = [each for each in list_names() if each.name == name]
    assert (info.kind, info.value) == ("GuardedTensor", "bfloat16 [2, 3]")


def add_two(guarded: GuardedTensor, label: str) -> None:
    assert guarded.name == label
    guarded.add_(2)


def test_it_travels_by_its_name(name, start_method):
    guarded = GuardedTensor(torch.ones(3), name=name)
    process = mp.get_context(start_method).Process(target=add_two, args=(guarded, name))
    process.start()
    process.join(TIMEOUT)
    assert process.exitcode == 0
    assert guarded.snapshot().tolist() == [3, 3, 3]


ADD = """
import sys, torch, caffe2op_atomics as atomics
torch.set_num_threads(1)
ready = atomics.Counter(name=sys.argv[1] + ".ready")
counts = atomics.GuardedTensor([50_000], dtype=torch.int64, name=sys.argv[1])
ready.next()
assert ready.wait_until(2, timeout=60)
for _ in range(300):
    counts.add_(1)
    counts.index_add_(0, torch.tensor([7, 40_000, 7]), 1)
"""


@pytest.mark.filterwarnings("ignore::caffe2op_atomics.LeftoverWarning")
def test_programs_without_a_common_parent_lose_nothing(name):
    outputs([start(ADD, name) for _ in range(2)])
    values = GuardedTensor([50_000], dtype=torch.int64, name=name).tensor.tolist()
    expected = [600] * 50_000
    expected[7] += 1200
    expected[40_000] += 600
    assert values == expected


def test_a_leftover_is_told(name):
    def make() -> None:
        GuardedTensor(torch.ones(3), name=name)

    run_forks([make])
    with pytest.warns(LeftoverWarning, match=name):
        assert GuardedTensor([3], name=name).snapshot().tolist() == [1, 1, 1]


def works_or_is_absent(name: str) -> bool:
    """As the next user finds it."""
    there = path_of(name).exists()
    guarded = GuardedTensor(torch.full((9000,), 7.0), name=name)
    assert guarded.snapshot().eq(1 if there else 7).all()
    guarded.add_(1)
    assert guarded.recoveries == 0
    assert guarded.unlink()
    return there


STEPS = ["open", "fchmod", "posix_fallocate", "pwrite", "link", "close"]


@pytest.mark.filterwarnings("ignore::caffe2op_atomics.LeftoverWarning")
@pytest.mark.parametrize("step", STEPS)
def test_creator_killed_at_a_step_leaves_all_or_nothing(name, step):
    def die_at_step() -> None:
        system_call = getattr(os, step)

        def dying(*args: object, **settings: object) -> object:
            if step == "open" and args[1] & os.O_TMPFILE != os.O_TMPFILE:  # the look for a file
                return system_call(*args, **settings)
            return os.kill(os.getpid(), signal.SIGKILL)

        setattr(os, step, dying)
        GuardedTensor(torch.ones(9000), name=name)

    assert ended(in_fork(die_at_step)) == -signal.SIGKILL
    assert works_or_is_absent(name) == (step == "close")


@pytest.mark.filterwarnings("ignore::caffe2op_atomics.LeftoverWarning")
def test_creator_killed_at_random_leaves_all_or_nothing(name):
    def create_for_ever() -> None:
        values = torch.ones(9000)
        while True:
            GuardedTensor(values, name=name).unlink()

    there = 0
    for _ in range(60):
        pid = in_fork(create_for_ever)
        time.sleep(random.uniform(0.002, 0.006))
        os.kill(pid, signal.SIGKILL)
        assert ended(pid) == -signal.SIGKILL
        there += works_or_is_absent(name)
    assert there < 60


@pytest.mark.filterwarnings("ignore::caffe2op_atomics.LeftoverWarning")
def test_racing_creators_create_once(name):
    """Whoever comes first gives the values, and all add to the same tensor."""

    def create_and_add(rank: int) -> None:
        ready = Counter(name=name + ".ready")
        ready.next()
        assert ready.wait_until(4, timeout=TIMEOUT)
        GuardedTensor(torch.full((9000,), 100.0 * (rank + 1)), name=name).add_(1)

    run_forks([lambda rank=rank: create_and_add(rank) for rank in range(4)])
    values = GuardedTensor([9000], name=name).snapshot()
    assert values.eq(values[0]).all()
    assert values[0].item() in {100 * (rank + 1) + 4 for rank in range(4)}
