"""What a replica refuses, before anything is changed, and how it ends when nobody ends it."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from ranks import run_ranks
from support import TIMEOUT
from torch import Tensor, nn

import caffe2op_atomics as atomics
from caffe2op_atomics import GuardedTensor, distributed, optim
from caffe2op_atomics._polling import poll
from caffe2op_atomics.distributed import Replica, ReplicaError


@pytest.mark.parametrize(
    ("targets", "rule"),
    [
        (lambda: [torch.ones(2)], "targets[0] must be a GuardedTensor, got Tensor"),
        (lambda: torch.ones(2), "targets must be a sequence, got Tensor"),
        (lambda: 5, "targets must be a sequence, got int"),
        (
            lambda: torch.optim.SGD([torch.ones(2)]),
            "targets must be an optimizer of caffe2op_atomics.optim or guarded tensors, "
            "got one of torch.optim.sgd",
        ),
        (list, "targets must have at least one tensor, got none"),
        (lambda: [GuardedTensor([2])] * 2, "targets must be different tensors, got one twice"),
        (
            lambda: GuardedTensor([2], dtype=torch.bool),
            "targets must have a dtype that can be summed, got bool",
        ),
    ],
)
def test_targets_that_are_no_guarded_tensors_are_refused(targets, rule):
    with pytest.raises((TypeError, RuntimeError)) as caught:
        Replica(targets())
    assert str(caught.value) == f"Replica: {rule}"


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"average": True}, "average must be False for tensors of integers, got int64"),
        ({"compression": torch.float16}, "compression must be None or torch.bfloat16, got torch."),
        ({"compression": "bf16"}, "compression must be None or torch.bfloat16, got bf16"),
        ({"period": 0}, "period must be from 0.001 to 86400 seconds, got 0"),
        ({"period": float("nan")}, "period must be from 0.001 to 86400 seconds, got nan"),
        ({"timeout": -1}, "timeout must be from 0.001 to 86400 seconds, got -1"),
        ({"timeout": "x"}, "timeout must be seconds, got str"),
        ({"bucket_bytes": 0}, "bucket_bytes must be from 1 to"),
        ({"bucket_bytes": 1.5}, "bucket_bytes must be an integer, got float"),
        ({"state": {}}, "state must be what state_dict() returned, got another"),
        (
            {"state": {"round": 1, "values": [torch.zeros(2)]}},
            "state must be of tensors like targets, got others",
        ),
        (
            {"state": {"round": 2**62, "values": [torch.zeros(2, dtype=torch.int64)]}},
            "state must be of a round from 0 to 2**62 - 1, got 4611686018427387904",
        ),
        (
            {"state": {"round": float("inf"), "values": []}},
            "state must be what state_dict() returned, got another",
        ),
        ({}, "torch.distributed must be initialised, got no process group"),
    ],
)
def test_wrong_option_is_refused(options, rule):
    with pytest.raises((TypeError, ValueError, RuntimeError)) as caught:
        Replica(GuardedTensor([2], dtype=torch.int64), **options)
    assert str(caught.value).startswith(f"Replica: {rule}")


def differ(rank: int) -> None:
    tensor = GuardedTensor(torch.full((5,), 1.0 + rank))
    others = {
        "average": rank == 1,
        "bucket_bytes": 100 + (rank == 1),
        "compression": torch.bfloat16 if rank == 1 else None,
    }
    rule = "targets and options must be alike on all ranks, got others on rank 1"
    for name, value in others.items():
        with pytest.raises(RuntimeError, match=rule):
            Replica(tensor, **{name: value})
    for other in (GuardedTensor([6]), GuardedTensor([5], dtype=torch.float64)):
        with pytest.raises(RuntimeError, match=rule):
            Replica(other if rank == 1 else tensor)
    with pytest.raises(RuntimeError, match="timeout must be longer than every rank's"):
        Replica(tensor, period=3 if rank == 1 else 0.1, timeout=2)
    assert tensor.tensor.eq(1 + rank).all()


def test_ranks_that_differ_are_refused_and_nothing_changed(tmp_path):
    run_ranks(3, tmp_path, differ)


def share_memory(rank: int, name: str) -> None:
    tensor = GuardedTensor(torch.full((5,), 1.0), name=name)
    other = GuardedTensor(torch.full((5,), 1.0), name=f"{name}.{rank}")
    with pytest.raises(RuntimeError, match="group must have one rank of each host, got ranks with"):
        Replica([other, tensor])
    again = GuardedTensor([5], name=other.name)  # elsewhere in this process
    with pytest.raises(RuntimeError, match="targets must be different tensors, got one twice"):
        Replica([other, again])
    with (
        Replica(other),
        pytest.raises(RuntimeError, match="targets must have no other replica, got some with one"),
    ):
        Replica(again)
    with Replica(again, None if rank else dist.group.WORLD):
        pass
    assert tensor.tensor.eq(1).all()
    assert other.tensor.eq(1).all()
    other.unlink()


def test_memory_that_is_there_twice_is_refused(tmp_path):
    name = f"test.{os.getpid()}.replica"
    run_ranks(2, tmp_path, share_memory, name)
    assert atomics.unlink_name(name)


def alone(rank: int) -> None:
    tensor, begin = GuardedTensor([5]), time.monotonic()
    if rank == 0:
        with pytest.raises(ReplicaError, match="make one within 1 s, got none of rank 1"):
            Replica(tensor, timeout=1)
        assert time.monotonic() - begin < 5
    group = dist.new_group([0])
    if rank == 1:
        with pytest.raises(RuntimeError, match="Replica: group must have this rank in it"):
            Replica(tensor, group)
    else:
        with Replica(tensor, group) as replica:
            tensor.add_(1)
        assert replica.state_dict()["values"][0].eq(1).all()


def test_rank_that_is_missing_is_an_error_in_time(tmp_path):
    run_ranks(2, tmp_path, alone)


def misuse(rank: int) -> None:
    model = nn.Linear(3, 3)
    model.share_memory()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with Replica(optimizer, period=0.01) as replica:
        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="cannot pickle or copy a Replica: make it in one"):
                attempt(replica)
        child = os.fork()
        if child == 0:
            try:
                replica.check()
            except RuntimeError as error:
                os._exit(0 if "the calling process must be the one" in str(error) else 1)
            os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        weight, model.weight.data = model.weight.data, torch.zeros(3, 3)
        with pytest.raises(RuntimeError, match="SGD: parameters must stay where they were"):
            replica.check()
        model.weight.data = weight


def test_misuse_is_told(tmp_path):
    run_ranks(2, tmp_path, misuse)


UNFINISHED = """
import torch.distributed as dist
from caffe2op_atomics import GuardedTensor
from caffe2op_atomics.distributed import Replica

dist.init_process_group("gloo", rank=0, world_size=1, init_method="file://{store}")
tensor = GuardedTensor([1000])
replica = Replica(tensor, period=0.001)
while replica.rounds < 5:
    tensor.add_(1)
print("end")
"""


def test_program_that_does_not_finish_its_replica_ends(tmp_path):
    program = UNFINISHED.format(store=tmp_path / "store")
    args = [sys.executable, "-c", program]
    done = subprocess.run(args, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("end\n")  # behind what the gloo of torch 2.10 prints


def threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def end_threads(rank: int) -> None:
    tensor = GuardedTensor([5])
    with Replica(tensor):
        pass  # leaves threads that the next uses again
    before = threads()
    with Replica(tensor) as replica:
        assert threads() > before + 1
    # Gloo's loop over its sockets stays, which has no tensors.
    assert poll(lambda: threads() <= before + 1, 5, first=0.01, longest=0.01)
    assert replica.rounds > 0


def test_finished_replica_leaves_no_thread_that_would_meet_the_end_of_the_interpreter(tmp_path):
    run_ranks(2, tmp_path, end_threads)


def ask_for_hosts(rank: int, found: Tensor) -> None:
    with pytest.raises(RuntimeError, match="host_group: LOCAL_RANK must be in the environment"):
        distributed.host_group()
    os.environ["LOCAL_RANK"] = str(rank % 2)  # ranks 0 and 1 on one host, 2 and 3 on the other
    group = distributed.host_group()
    found[rank] = -1 if group is None else dist.get_rank(group)


def test_host_group_is_of_the_first_rank_of_each_host(tmp_path):
    found = torch.zeros(4).share_memory_()
    run_ranks(4, tmp_path, ask_for_hosts, found)
    assert found.tolist() == [0, -1, 1, -1]
    with pytest.raises(RuntimeError, match=r"^host_group: torch\.dist"):
        distributed.host_group()
