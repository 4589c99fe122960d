"""What SharedBatchSampler knows of the batches of a trainer that died, and of one that did not."""

from __future__ import annotations

import os
import random
import re
import signal
import sys
import time
from contextlib import suppress
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
from named_files import ended, in_fork, start
from support import TIMEOUT, run_threads
from torch import Tensor
from torch.utils.data import DataLoader

from caffe2op_atomics import AtomicBool, SharedBatchSampler, _processes
from caffe2op_atomics._tickets import Draw
from caffe2op_atomics._tickets_layout import HOLDERS, MOST_HOLDERS, RECORDS, pack_process

BATCHES = 40
AHEAD = 4  # 2 workers x prefetch_factor 2


def loader_of(sampler: SharedBatchSampler, workers: int, **options: Any) -> DataLoader:
    return DataLoader(torch.arange(BATCHES), batch_sampler=sampler, num_workers=workers, **options)


def order_of(epoch: int) -> list[int]:
    return torch.randperm(BATCHES, generator=torch.Generator().manual_seed(epoch)).tolist()


def unfinished(sampler: SharedBatchSampler, *epoch: int, live: bool = False) -> list[int]:
    return [index for (index,) in sampler.unfinished(*epoch, live=live)]


@pytest.mark.parametrize(
    ("workers", "factor", "keep"), [(0, None, False), (2, 2, False), (2, 2, True), (1, 3, False)]
)
def test_batch_is_done_when_its_trainer_comes_back_for_more(workers, factor, keep):
    ahead = workers * (factor or 0)
    sampler = SharedBatchSampler(BATCHES, 1, prefetch=ahead)
    loader = loader_of(sampler, workers, prefetch_factor=factor, persistent_workers=keep)
    for epoch in range(3):
        order = order_of(epoch)
        for step, batch in enumerate(loader):
            assert batch.item() == order[step]
            assert unfinished(sampler, live=True) == order[step : step + ahead + 1]
            assert epoch == 0 or unfinished(sampler, epoch - 1, live=True) == []
        # With workers nobody has told the sampler yet that the loop has ended.
        assert unfinished(sampler, live=True) == (order[-1:] if workers else [])
        assert unfinished(sampler) == []


def train(
    sampler: SharedBatchSampler, trained: Tensor, at: int = -1, end: str = "", *more: Any
) -> None:
    os.setpgid(0, 0)  # together with its workers
    for step, batch in enumerate(loader_of(sampler, 2)):
        if step == at:
            if end == "raise":
                raise ValueError("as a test wants it")
            if end == "exit":
                sys.exit(1)
            if end == "break":
                break
            if end == "hang":
                more[0].set()
                time.sleep(TIMEOUT)  # until it is killed
            if end == "wait":
                assert more[0].wait(TIMEOUT)
        trained[batch] = 1
        if end == "slow":
            time.sleep(0.01)


def trainer(*args: Any, start_method: str = "fork") -> Any:
    process = mp.get_context(start_method).Process(target=train, args=args)
    process.start()
    return process


def kill(process: Any) -> None:
    """Kill a trainer, and then its workers: one that had just begun would stay for ever."""
    process.kill()
    with suppress(ProcessLookupError):  # there was no group yet, and so no worker
        os.killpg(process.pid, signal.SIGKILL)
    process.join(TIMEOUT)
    assert process.exitcode == -signal.SIGKILL


def test_unfinished_are_the_batches_that_a_killed_trainer_did_not_train_on():
    sampler = SharedBatchSampler(BATCHES, 1, prefetch=AHEAD)
    trained = torch.zeros(BATCHES, dtype=torch.bool).share_memory_()
    hangs = AtomicBool()
    victim = trainer(sampler, trained, 5, "hang", hangs)
    survivor = trainer(sampler, trained, 2, "wait", hangs)
    assert hangs.wait(TIMEOUT)
    assert unfinished(sampler) == []
    kill(victim)
    survivor.join(TIMEOUT)
    assert survivor.exitcode == 0
    lost = unfinished(sampler)
    assert sorted(lost) == (~trained).nonzero().flatten().tolist()
    assert len(lost) == AHEAD + 1


def test_trainer_that_is_killed_at_any_moment_loses_what_is_listed_and_no_more():
    seed = random.randrange(2**32)
    delays = random.Random(seed)
    for _ in range(8):
        sampler = SharedBatchSampler(BATCHES, 1, prefetch=AHEAD)
        trained = torch.zeros(BATCHES, dtype=torch.bool).share_memory_()
        victim = trainer(sampler, trained, -1, "slow")
        time.sleep(delays.uniform(0, 0.3))
        kill(victim)
        rest = trainer(sampler, trained)
        rest.join(TIMEOUT)
        assert rest.exitcode == 0
        lost, untrained = unfinished(sampler), (~trained).nonzero().flatten().tolist()
        assert set(untrained) <= set(lost), seed
        # Killed between the end of a batch and its coming back.
        assert len(lost) <= min(len(untrained) + 1, AHEAD + 1), seed


@pytest.mark.parametrize(
    ("end", "at", "lost"),
    [
        ("raise", 5, slice(5, 10)),
        ("exit", 5, slice(5, 10)),
        ("break", 5, slice(5, 10)),
        ("", -1, slice(0)),
    ],
)
def test_trainer_that_ends_without_a_kill_has_done_its_last_batch_unless_it_failed(end, at, lost):
    sampler = SharedBatchSampler(BATCHES, 1, prefetch=AHEAD)
    trained = torch.zeros(BATCHES, dtype=torch.bool).share_memory_()
    process = trainer(sampler, trained, at, end)
    process.join(TIMEOUT)
    assert process.exitcode == (end in ("raise", "exit"))
    assert unfinished(sampler) == order_of(0)[lost]


@pytest.mark.parametrize("end", ["raise", "exit", "break"])
def test_a_failure_is_seen_under_every_start_method(start_method, end):
    sampler = SharedBatchSampler(BATCHES, 1, prefetch=AHEAD)
    trained = torch.zeros(BATCHES, dtype=torch.bool).share_memory_()
    process = trainer(sampler, trained, BATCHES - 1, end, start_method=start_method)
    process.join(TIMEOUT)
    assert process.exitcode == (end != "break")
    assert unfinished(sampler) == (order_of(0)[-1:] if end != "break" else [])


PROGRAM = """
import sys
from torch.utils.data import DataLoader
from caffe2op_atomics import SharedBatchSampler

def train():
    sampler = SharedBatchSampler(40, 1, prefetch=4, name=sys.argv[1])
    for step, batch in enumerate(DataLoader(range(40), batch_sampler=sampler, num_workers=2)):
        if sys.argv[2] == str(step):
            raise ValueError("as a test wants it")

train()
"""


@pytest.mark.filterwarnings("ignore::caffe2op_atomics.LeftoverWarning")
def test_program_that_ends_has_done_its_last_batch_unless_it_failed(name):
    programs = [start(PROGRAM, f"{name}.{stop}", stop) for stop in (-1, 39)]
    assert [program.wait(TIMEOUT) for program in programs] == [0, 1]
    for program in programs:
        program.communicate()
    left = [SharedBatchSampler(40, 1, name=f"{name}.{stop}") for stop in (-1, 39)]
    assert [unfinished(sampler) for sampler in left] == [[], order_of(0)[-1:]]


def test_batch_that_is_done_right_before_its_trainer_ends_is_not_listed(monkeypatch):
    sampler = SharedBatchSampler(BATCHES, 1)
    next(iter(sampler))

    def finish_and_end(*_: object) -> bool:
        sampler._tickets.finish(Draw(0, 0, 1))
        return False

    monkeypatch.setattr(_processes, "is_alive", finish_and_end)
    assert unfinished(sampler) == []


def draw_and_die(sampler: SharedBatchSampler) -> None:
    next(iter(sampler))
    os.kill(os.getpid(), signal.SIGKILL)


def one_lost(sampler: SharedBatchSampler) -> list[int]:
    drawn = sampler._tickets.now()[1]
    assert ended(in_fork(lambda: draw_and_die(sampler))) == -signal.SIGKILL
    return order_of(0)[drawn : drawn + 1]


def test_death_between_the_draw_and_its_record_is_seen():
    for look_first in (False, True):
        sampler = SharedBatchSampler(BATCHES, 1)
        lost = one_lost(sampler)
        assert not sampler.tensor[RECORDS:].any()  # there is no record
        if look_first:
            assert unfinished(sampler) == lost
        assert len(list(sampler)) == BATCHES - 1
        assert unfinished(sampler) == lost


def test_forked_child_is_a_trainer_of_its_own():
    sampler = SharedBatchSampler(BATCHES, 1)
    draws = iter(sampler)
    next(draws)
    lost = one_lost(sampler)
    assert unfinished(sampler) == lost
    assert unfinished(sampler, live=True) == order_of(0)[:1] + lost


def test_what_is_lost_is_known_until_the_next_epoch_has_ended():
    sampler = SharedBatchSampler(BATCHES, 1)
    lost = one_lost(sampler)
    list(sampler), list(sampler)
    assert (unfinished(sampler), unfinished(sampler, 1), unfinished(sampler, 0)) == ([], [], lost)
    list(sampler)
    for epoch in (0, 3):
        text = f"unfinished: epoch must be 2, or the one before, got {epoch}"
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            sampler.unfinished(epoch)


def test_last_draw_of_an_epoch_is_recorded_before_the_next_begins():
    sampler = SharedBatchSampler(1, 1)
    assert ended(in_fork(lambda: draw_and_die(sampler))) == -signal.SIGKILL
    run_threads(1, lambda _: (sampler.set_epoch(1), next(iter(sampler))))
    assert sampler.unfinished(0) == [[0]]


def test_process_of_another_container_counts_as_dead(monkeypatch):
    sampler = SharedBatchSampler(BATCHES, 1)
    draws = iter(sampler)
    next(draws)
    assert unfinished(sampler) == []
    monkeypatch.setattr(_processes, "_pid_namespace", lambda: 1)
    assert unfinished(sampler) == order_of(0)[:1]


def fill_table(sampler: SharedBatchSampler, pid: int, start: int) -> None:
    rows = sampler.tensor[HOLDERS:RECORDS].view(-1, 2)
    for row in rows[1:]:
        if row[0] == 0:
            row.copy_(torch.tensor([pack_process(pid, start), _processes.myself()[2]]))


def test_places_of_dead_processes_are_given_away_when_there_is_no_other():
    sampler = SharedBatchSampler(BATCHES, 1)
    fill_table(sampler, *_processes.myself()[:1], 1)  # of a process that had this pid
    assert ended(in_fork(lambda: list(sampler))) == 0
    assert sampler._tickets.now() == (0, BATCHES)


def test_place_of_a_dead_process_is_kept_while_it_has_unfinished_batches():
    sampler = SharedBatchSampler(BATCHES, 1)
    one_lost(sampler), one_lost(sampler)
    fill_table(sampler, 1, _processes._start_of(1) or 0)  # lives
    text = f"SharedBatchSampler: trainers must be at most {MOST_HOLDERS} processes, got one more"
    with pytest.raises(RuntimeError, match=f"^{text}$"):
        next(iter(sampler))
    assert unfinished(sampler) == order_of(0)[:2]
    sampler._tickets.finish(Draw(0, 0, 1))
    next(iter(sampler))
    assert sampler._tickets._holder == (os.getpid(), 1)
    assert unfinished(sampler) == order_of(0)[1:2]
