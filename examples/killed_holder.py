"""Kill the holder of a lock with SIGKILL, and see whether anybody gets the lock again.

The lock guards two balances that must be equal. Its holder dies when it has changed one of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, TypeAlias

import torch
from _screen import bar, console, parser, print_table
from _workers import context_of, ending, settle
from torch import Tensor

import caffe2op_atomics as atomics

DEPOSITS = 1000  # by each survivor, after the death
PATIENCE = 3.0  # seconds after which a survivor who still waits for the lock is called hung

AnyLock: TypeAlias = Any  # a multiprocessing.Lock or an atomics.Mutex, which are used alike


class Acquired(NamedTuple):
    """When a survivor got the lock, and what the lock told it of a death."""

    at: float
    error: str | None


@dataclass(frozen=True)
class Outcome:
    """What became of a lock and of the balances when the holder died.

    Attributes:
        survivors: how many waited for the lock.
        acquired: one for each survivor who got it, in order.
        killed: when the holder was killed.
        found: the balances then.
        left: the balances in the end.
    """

    survivors: int
    acquired: list[Acquired]
    killed: float
    found: list[int]
    left: list[int]

    @property
    def hung(self) -> int:
        """How many survivors never got the lock."""
        return self.survivors - len(self.acquired)

    @property
    def errors(self) -> list[str]:
        """What the lock told the survivors of the death."""
        return [one.error for one in self.acquired if one.error is not None]

    @property
    def delay(self) -> str:
        """How long it took until a survivor got the lock, in words."""
        if not self.acquired:
            return f"none in {PATIENCE:.0f} s"
        return f"{1000 * (self.acquired[0].at - self.killed):.1f} ms later"

    @property
    def recovered(self) -> bool:
        """Whether all got the lock, one was told, and the balances hold every deposit."""
        balance = 1 + self.survivors * DEPOSITS  # the holder's one was finished for it
        return self.hung == 0 and len(self.errors) == 1 and self.left == [balance, balance]


def die_halfway(lock: AnyLock, balances: Tensor, halfway: atomics.AtomicBool) -> None:
    """Make the first half of a deposit, and wait to be killed."""
    settle()
    with lock:
        balances[0] += 1
        halfway.set()
        time.sleep(60)


def survive(lock: AnyLock, balances: Tensor, waiting: atomics.Counter, parent: Connection) -> None:
    """Acquire the lock, repair what the death of its holder broke, and go on."""
    settle()
    waiting += 1
    try:
        if not lock.acquire(timeout=60):  # the parent calls us hung long before
            return
        parent.send(Acquired(time.perf_counter(), None))
    except atomics.OwnerDiedError as error:  # and the lock is held
        parent.send(Acquired(time.perf_counter(), str(error)))
        balances[1] = balances[0]
        lock.consistent()
    lock.release()
    for _ in range(DEPOSITS):
        with lock:
            balances += 1


def kill_holder(name: str, lock: AnyLock, survivors: int, start_method: str) -> Outcome:
    """Kill the holder of ``lock`` while others wait for it, and return what became of them."""
    context = context_of(start_method)
    balances = torch.zeros(2, dtype=torch.int64).share_memory_()
    halfway, waiting = atomics.AtomicBool(), atomics.Counter()
    pipes = [context.Pipe(duplex=False) for _ in range(survivors)]
    holder = context.Process(target=die_halfway, args=(lock, balances, halfway))
    crew = [
        context.Process(target=survive, args=(lock, balances, waiting, sender))
        for _, sender in pipes
    ]
    with ending([holder, *crew]):
        holder.start()
        await_true(halfway.is_set)
        for survivor in crew:
            survivor.start()
        await_true(lambda: waiting.value == survivors)
        time.sleep(0.2)  # they said that they would wait; now they do

        found, killed = balances.tolist(), time.perf_counter()
        holder.kill()
        acquired = receive(name, [receiver for receiver, _ in pipes])
        if len(acquired) == survivors:
            for survivor in crew:
                survivor.join(timeout=PATIENCE)
    return Outcome(survivors, acquired, killed, found, balances.tolist())


def await_true(condition: Callable[[], bool]) -> None:
    """Wait until ``condition()`` is true, for a minute at most."""
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("a process did not come to the lock within a minute")
        time.sleep(0.01)


def receive(name: str, pipes: Sequence[Connection]) -> list[Acquired]:
    """Return what comes out of the pipes until all have spoken, or patience ends."""
    silent = list(pipes)
    acquired: list[Acquired] = []
    began, waited = time.perf_counter(), 0.0
    with bar() as show:
        while silent and waited < PATIENCE:
            for pipe in list(silent):
                if pipe.poll(timeout=0.05):
                    acquired.append(pipe.recv())
                    silent.remove(pipe)
            waited = time.perf_counter() - began
            show(f"{name}: {len(silent)} of {len(pipes)} wait", waited / PATIENCE)
        show(f"{name}: {len(silent)} of {len(pipes)} hang", 1.0)
    return sorted(acquired)


def show_outcomes(outcomes: dict[str, Outcome]) -> None:
    """Print side by side what became of the locks, and what the package's one said."""
    rows: dict[str, Callable[[Outcome], str]] = {
        "next acquire": lambda outcome: outcome.delay,
        "survivors that hang": lambda outcome: f"{outcome.hung} of {outcome.survivors}",
        "survivors told why": lambda outcome: f"{len(outcome.errors)} of {outcome.survivors}",
        "balances at the death": lambda outcome: " and ".join(f"{x:,}" for x in outcome.found),
        "balances in the end": lambda outcome: " and ".join(f"{x:,}" for x in outcome.left),
    }
    print_table(
        "The holder of the lock is killed between two writes",
        ("", *outcomes),
        ((label, *map(describe, outcomes.values())) for label, describe in rows.items()),
    )
    for name, outcome in outcomes.items():
        for error in outcome.errors:
            console.print(f"{name} told why: OwnerDiedError: {error}.")


def main(argv: Sequence[str] | None = None) -> int:
    """Kill the holders of two locks, and return 0 if the second lock recovered."""
    options = parser(__doc__).parse_args(argv)
    outcomes = {
        name: kill_holder(name, lock, options.workers, options.start_method)
        for name, lock in (
            ("multiprocessing.Lock", context_of(options.start_method).Lock()),
            ("atomics.Mutex", atomics.Mutex()),
        )
    }
    show_outcomes(outcomes)
    return int(not outcomes["atomics.Mutex"].recovered)


if __name__ == "__main__":
    raise SystemExit(main())
