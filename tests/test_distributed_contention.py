"""Objects in a store that processes and threads use at once: exact, and made exactly once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from named_files import ended, in_fork
from stores import client
from support import TIMEOUT, run_processes, run_threads
from torch import Tensor

from caffe2op_atomics.distributed import AtomicBool, Counter

pytestmark = pytest.mark.contended

CALLS = 8000


def take(rank: int, port: int, name: str, taken: Tensor) -> None:
    counter = Counter(name, 100, store=client(port))
    for call in range(CALLS):
        taken[rank, call] = counter.next()


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_count_exactly_and_no_ticket_is_given_twice(port, processes):
    name, taken = f"tickets.{processes}", torch.zeros(processes, CALLS, dtype=torch.int64)
    run_processes(processes, take, port, name, taken.share_memory_())
    assert sorted(taken.flatten().tolist()) == list(range(100, 100 + processes * CALLS))
    assert Counter(name, store=client(port)).value == 100 + processes * CALLS


def add_and_subtract(rank: int, port: int) -> None:
    counter = Counter("sum", store=client(port))
    for call in range(CALLS // 4):
        counter += call
        counter -= 3
        counter.fetch_add(2**40)
        counter.fetch_sub(2**40)


def test_sum_of_all_additions_is_exact(port):
    run_processes(4, add_and_subtract, port)
    calls = CALLS // 4
    expected = 4 * (calls * (calls - 1) // 2 - 3 * calls)
    assert Counter("sum", store=client(port)).value == expected


def make(rank: int, port: int, rounds: int, seen: Tensor) -> None:
    store = client(port)
    for turn in range(rounds):
        counter = Counter(f"once.{turn}", 1000 * (rank + 1), store=store)
        seen[rank, turn] = counter.fetch_add(1)


def test_exactly_one_initial_value_counts(port):
    rounds, ranks = 200, 4
    seen = torch.zeros(ranks, rounds, dtype=torch.int64).share_memory_()
    run_processes(ranks, make, port, rounds, seen)
    for turn in range(rounds):
        tickets = sorted(seen[:, turn].tolist())
        first = tickets[0]
        assert first in range(1000, 5000, 1000)
        assert tickets == list(range(first, first + ranks))


def test_threads_share_one_object(port):
    counter, flag = Counter("threads", store=client(port)), AtomicBool("f", store=client(port))

    def work(rank: int) -> list[int]:
        tickets = []
        for _ in range(CALLS // 4):
            tickets.append(counter.next())
            flag.set() if rank % 2 else flag.is_set()
        return tickets

    tickets = [ticket for each in run_threads(4, work) for ticket in each]
    assert sorted(tickets) == list(range(CALLS))
    assert flag.is_set()


def test_threads_that_make_an_object_first_use_of_a_store_share_one_connection(port):
    store = client(port)
    counters = run_threads(4, lambda rank: Counter("made", store=store))
    run_threads(4, lambda rank: [counters[rank].next() for _ in range(500)])
    assert counters[0].value == 2000
    assert len({id(counter._link.connection) for counter in counters}) == 1


def test_forked_child_uses_a_connection_of_its_own(port):
    counter = Counter("forked", store=client(port))
    connection = counter._link.connection

    def count_on(rank: int) -> None:
        for _ in range(CALLS // 4):
            counter.next()

    counter.next()
    fd = Path(f"/proc/self/fd/{connection._fd}").readlink()
    child = in_fork(lambda: (count_on(0), differs(f"/proc/self/fd/{connection._fd}", fd)))
    count_on(1)
    assert ended(child) == 0
    assert counter.value == CALLS // 2 + 1


def differs(path: str, target: Path) -> None:
    assert Path(path).readlink() != target


def wait_in_turns(rank: int, port: int, turns: int) -> None:
    counter = Counter("turns", store=client(port))
    for turn in range(turns):
        assert counter.wait_until(2 * turn + rank, TIMEOUT)
        assert counter.next() == 2 * turn + rank


def test_processes_wait_for_each_other(port):
    run_processes(2, wait_in_turns, port, 50)
    assert Counter("turns", store=client(port)).value == 100


def set_the_other(rank: int, port: int, turns: int) -> None:
    flags = [AtomicBool(f"turns.{each}", store=client(port)) for each in range(2)]
    for _ in range(turns):
        assert flags[rank].wait(TIMEOUT)
        flags[rank].clear()
        flags[1 - rank].set()


def test_flags_pass_a_turn_on(port):
    first = AtomicBool("turns.0", store=client(port))
    first.set()
    run_processes(2, set_the_other, port, 50)
    assert first
