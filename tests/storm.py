"""Workers that call at random, are stopped and killed at random moments, and are replaced.

Each records in a ledger every call before it and after it. So of each kill at most one call is in
flight, begun and not finished, and it is known which; everything else has happened exactly once.
"""

from __future__ import annotations

import faulthandler
import os
import random
import signal
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp
from storm_account import WORKERS, Deaths, Ledger, Subject
from support import TIMEOUT

from caffe2op_atomics import AtomicBool


def work(rank: int, seed: int, subjects: Sequence[Subject], ledger: Ledger, stop: Any) -> None:
    faulthandler.register(signal.SIGUSR1)
    os.nice(5)  # or they leave no time for killing them
    torch.set_num_threads(1)
    draws = random.Random(seed)
    for subject in subjects:
        subject.start(rank)
    calls = [getattr(subject, name) for subject in subjects for name in subject.calls]
    weights = [subject.often for subject in subjects for _ in subject.calls]
    while not stop.is_set():
        (call,) = draws.choices(range(len(calls)), weights)
        ledger.begin(rank, call)
        calls[call](rank)
        ledger.finish(rank, call)


class Crew:
    """Workers, each of which is replaced when it is killed."""

    def __init__(self, subjects: Sequence[Subject], draws: random.Random) -> None:
        self._subjects, self._draws = subjects, draws
        self.ledger = Ledger(
            [f"{type(subject).__name__}.{call}" for subject in subjects for call in subject.calls]
        )
        self._stop = AtomicBool()
        self.deaths = [Deaths(bank) for subject in subjects for bank in subject.banks]
        self.kills = self.unseen = 0
        self.pids: set[int] = set()
        self._seen: list[tuple[float, Any]] = [(0, None)] * WORKERS
        self._workers = [self._new(rank) for rank in range(WORKERS)]

    def _new(self, rank: int) -> Any:
        args = rank, self._draws.random(), self._subjects, self.ledger, self._stop
        worker = mp.get_context("fork").Process(target=work, args=args, daemon=True)
        worker.start()
        self.pids.add(worker.pid)
        return worker

    def _stopped(self, rank: int) -> int:
        pid = self._workers[rank].pid
        os.kill(pid, signal.SIGSTOP)
        # An exit is left for the process object to see.
        seen = os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        assert seen.si_code == os.CLD_STOPPED, f"a worker ended by itself: {seen.si_status}"
        return pid

    def kill(self, look: bool) -> None:
        """Kill a worker: stop it first to look at what it holds, or not."""
        rank = self._stop_one() if look else self._draws.randrange(WORKERS)
        self.unseen += not look
        self.kills += 1
        worker = self._workers[rank]
        worker.kill()
        worker.join(TIMEOUT)
        assert worker.exitcode == -signal.SIGKILL, f"a worker ended by itself: {worker.exitcode}"
        worker.close()
        self._workers[rank] = self._new(rank)

    def _stop_one(self) -> int:
        """Stop a worker, wherever it is, or one that holds something, or one that is in a step."""
        least = self._draws.choice([(0, 0), (1, 0), (1, 1)])
        for left in reversed(range(20)):
            rank = self._draws.randrange(WORKERS)
            pid = self._stopped(rank)
            held, _, in_step = map(sum, zip(*(each.of(pid) for each in self.deaths), strict=True))
            if left == 0 or (held >= least[0] and in_step >= least[1]):
                break
            os.kill(pid, signal.SIGCONT)
            time.sleep(self._draws.uniform(0, 0.001))
        for deaths in self.deaths:
            deaths.note(pid)
        return rank

    def pause(self, seconds: float) -> None:
        pid = self._stopped(self._draws.randrange(WORKERS))
        time.sleep(seconds)
        os.kill(pid, signal.SIGCONT)

    def watch(self) -> None:
        """Assert that no worker has been in one call for long."""
        for rank, worker in enumerate(self._workers):
            now, state = time.monotonic(), (worker.pid, self.ledger.of(rank))
            since, before = self._seen[rank]
            if state != before:
                self._seen[rank] = now, state
            elif now - since > TIMEOUT:
                raise AssertionError(f"worker {rank} hangs\n{self._dump()}")

    def finish(self) -> None:
        """Let every worker make a few calls in peace, and end."""
        target = [_begun(self.ledger.of(rank)) + 3 for rank in range(WORKERS)]
        while any(_begun(self.ledger.of(rank)) < target[rank] for rank in range(WORKERS)):
            assert all(worker.is_alive() for worker in self._workers), "a worker ended by itself"
            self.watch()
            time.sleep(0.01)
        self._stop.set()
        for worker in self._workers:
            worker.join(TIMEOUT)
            assert worker.exitcode is not None, f"a worker does not end\n{self._dump()}"
            assert worker.exitcode == 0, "a worker failed"

    def end(self) -> None:
        for worker in self._workers:
            worker.kill()
            worker.join(TIMEOUT)
            worker.close()
        self._workers.clear()

    def _dump(self) -> str:
        """What each worker is at; their stacks go to stderr."""
        lines = []
        for rank, worker in enumerate(self._workers):
            with_state = [
                line
                for line in Path(f"/proc/{worker.pid}/status").read_text().splitlines()
                if line.startswith("State")
            ]
            lines.append(f"worker {rank}, {worker.pid}: {with_state} {self.ledger.of(rank)}")
            os.kill(worker.pid, signal.SIGUSR1)
        for deaths in self.deaths:
            words = deaths.bank.view(-1, 128)[:, 64:68].contiguous().view(torch.int32)
            held = {i: hex(int(word)) for i, word in enumerate(words) if word}
            lines.append(f"lock words of a bank of {len(words)}: {held}")
        time.sleep(1)
        return "\n".join(lines)


def _begun(calls: dict[str, tuple[int, int]]) -> int:
    return sum(begun for _, begun in calls.values())


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _made_by(pids: set[int], name: str) -> bool:
    """Whether a file is memory that torch made in one of these processes: torch_<pid>_..."""
    return any(part.isdigit() and int(part) in pids for part in name.split("_"))


@dataclass
class Outcome:
    """What a storm came to."""

    kills: int
    calls: int
    in_flight: int
    recoveries: int
    torn: int


def storm(
    subjects: Sequence[Subject], kills: int, seconds: float, look: bool, seed: int
) -> Outcome:
    """Kill so many workers in about so many seconds, and assert that all is accounted for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what dead workers left
        draws = random.Random(seed)
        crew = Crew(subjects, draws)
        fds = open_files()
        try:
            for _ in range(kills):
                time.sleep(draws.uniform(0, 2 * seconds / kills))
                if draws.random() < 0.2:
                    crew.pause(0.01)
                crew.kill(look)
                crew.watch()
            crew.finish()
            crew.end()
            assert open_files() <= fds
            return _account(crew, subjects)
        finally:
            crew.end()
            for subject in subjects:
                subject.clean()


def _account(crew: Crew, subjects: Sequence[Subject]) -> Outcome:
    in_flight = 0
    for call in crew.ledger.calls:
        finished, begun = crew.ledger.bounds(call)
        assert finished > 0, call
        in_flight += begun - finished
    assert in_flight <= crew.kills
    recoveries, torn = map(
        sum, zip(*(deaths.check(crew.unseen) for deaths in crew.deaths), strict=True)
    )
    for subject in subjects:
        subject.check(crew.ledger)
    left = [path for path in Path("/dev/shm").iterdir() if _made_by(crew.pids, path.name)]
    # torch makes a file and removes its name at once: of all kills, one may fall in between.
    assert len(left) <= 1, left
    for path in left:
        path.unlink()
    calls = sum(_begun(crew.ledger.of(rank)) for rank in range(WORKERS))
    return Outcome(crew.kills, calls, in_flight, recoveries, torn)
