"""What dies in a replica, and that the others are told in time and lose nothing."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from network import Hosts
from ranks import join_workers, ranks_that_may_die, run_ranks, run_workers
from support import TIMEOUT, run_processes
from torch import Tensor

from caffe2op_atomics import GuardedTensor
from caffe2op_atomics.distributed import Replica, ReplicaError

NEVER = 100.0  # seconds; longer than a test


def outlive(
    rank: int, timeout: float, ready: Any, outcomes: Any, end: Callable[[Replica], None] | None
) -> None:
    """Train until told of the end of another rank; tell when, and what was agreed on."""
    tensor = GuardedTensor([5000], dtype=torch.int64)
    replica = Replica(tensor, period=0.005, timeout=timeout)
    while replica.rounds < 10:
        tensor.add_(1)
        replica.check()
    if rank == 1:
        ready.set()
        if end is not None:
            end(replica)
    try:
        while True:
            tensor.add_(1)
            replica.check()
            time.sleep(0.001)
    except ReplicaError as error:
        state = replica.state_dict()
        agreed = state["values"][0].unique().tolist()
        outcomes.put((rank, time.monotonic(), str(error), state["round"], agreed))
    with pytest.raises(ReplicaError):
        replica.finish()
    os._exit(0 if rank == 1 else 7)  # not the end of a test process


def leave(replica: Replica) -> None:
    with pytest.raises(ZeroDivisionError), replica:
        raise ZeroDivisionError
    os._exit(0)


@pytest.mark.parametrize(
    ("how", "timeout", "at_most", "text"),
    [
        (signal.SIGKILL, NEVER, 2.0, "every rank must stay until finish(), got one that is gone ("),
        (signal.SIGSTOP, 1.5, 3.5, "every rank must answer within 1.5 s, got one that does not ("),
        (leave, NEVER, 2.0, "every rank must stay until finish(), got one that left"),
    ],
    ids=["killed", "stopped", "left"],
)
def test_others_are_told_in_time_and_keep_what_was_agreed_on(tmp_path, how, timeout, at_most, text):
    context = mp.get_context("fork")
    ready, outcomes = context.Event(), context.SimpleQueue()
    end = how if how is leave else None
    args = timeout, ready, outcomes, end
    with ranks_that_may_die(3, tmp_path, outlive, *args) as ranks:
        assert ready.wait(TIMEOUT)
        begin = time.monotonic()
        if how is not leave:
            os.kill(ranks[1].pid, how)
        told = [outcomes.get() for _ in range(2)]
        for rank in (0, 2):
            ranks[rank].join(5)
            assert ranks[rank].exitcode == 7
    assert {rank for rank, *_ in told} == {0, 2}
    for _, when, error, rounds, _ in told:
        assert when - begin < at_most
        assert error.startswith(f"Replica: {text}")
        assert rounds >= 10
    # The round that the rank died in may have been the last of one and not of the other.
    one, other = (told[k][3:] for k in range(2))
    assert abs(one[0] - other[0]) <= 1
    assert one[0] != other[0] or one == other


def outlive_the_network(rank: int, hosts: Hosts, port: int, ready: Any, outcomes: Any) -> None:
    torch.set_num_threads(1)  # intra-op threads hang in a forked child
    hosts.move_to(rank)
    store = dist.TCPStore(hosts.address(0), port, is_master=rank == 0)
    dist.init_process_group("gloo", rank=rank, world_size=2, store=store)
    outlive(rank, 2.0, ready, outcomes, None)


def test_cable_that_is_pulled_is_noticed_in_time(hosts):
    context = mp.get_context("fork")
    ready, outcomes = context.Event(), context.SimpleQueue()
    ranks = [
        context.Process(target=outlive_the_network, args=(rank, hosts, 29401, ready, outcomes))
        for rank in range(2)
    ]
    for each in ranks:
        each.start()
    try:
        assert ready.wait(TIMEOUT)
        begin = time.monotonic()
        hosts.pull_the_cable()
        told = [outcomes.get() for _ in range(2)]
        for rank, each in enumerate(ranks):
            each.join(10)
            assert each.exitcode == (7, 0)[rank]
    finally:
        for each in ranks:
            each.kill()
    assert all(when - begin < 4 for _, when, *_ in told)


def add(tensor: GuardedTensor, begin: Any, calls: int) -> None:
    torch.set_num_threads(1)
    begin.wait(TIMEOUT)
    for _ in range(calls):
        tensor.add_(1)


def lose_a_worker(rank: int, begin: Any, result: Tensor) -> None:
    tensor = GuardedTensor([40_000], dtype=torch.int64)
    workers = run_workers(1, add, tensor, begin, 1500)
    (victim,) = run_workers(1, add, tensor, begin, 1_000_000)
    with Replica(tensor, period=0.005) as replica:
        begin.wait(TIMEOUT)
        while tensor.tensor[0] < 300:
            replica.check()
        victim.kill()
        join_workers(workers)
        victim.join()
    result[rank] = tensor.tensor
    assert tensor.recoveries <= 1


def test_host_goes_on_when_a_worker_dies(tmp_path):
    begin, result = mp.get_context("fork").Barrier(6), torch.zeros(2, 40_000).long().share_memory_()
    run_ranks(2, tmp_path, lose_a_worker, begin, result)
    assert torch.equal(result[0], result[1])
    assert result.min() >= 3000
    assert result.max() - result.min() <= 2  # the last call of each victim


def host_a_store(port: Any) -> None:
    store = dist.TCPStore("127.0.0.1", 0, is_master=True)
    port.value = store.port
    time.sleep(NEVER)


def outlive_the_store(rank: int, port: int, host: int, result: Tensor) -> None:
    store = dist.TCPStore("127.0.0.1", port, is_master=False)
    dist.init_process_group("gloo", rank=rank, world_size=2, store=store)
    tensor = GuardedTensor([100], dtype=torch.int64)
    with Replica(tensor, period=0.005) as replica:
        if rank == 0:
            os.kill(host, signal.SIGKILL)
        for _ in range(100):
            tensor.add_(1)
            replica.check()
            time.sleep(0.001)
    result[rank] = tensor.tensor
    dist.destroy_process_group()


def test_replica_needs_no_store_once_it_is_made(tmp_path):
    context = mp.get_context("fork")
    port, result = context.Value("i"), torch.zeros(2, 100).long().share_memory_()
    host = context.Process(target=host_a_store, args=(port,))
    host.start()
    try:
        deadline = time.monotonic() + TIMEOUT
        while port.value == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        run_processes(2, outlive_the_store, port.value, host.pid, result)
    finally:
        host.kill()
        host.join()
    assert result.eq(200).all()
