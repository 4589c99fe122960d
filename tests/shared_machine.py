"""Random commands to processes that share one of each object, against a model in plain Python.

One process works at a time, so that the model knows what each command returns: also which process
holds the mutex, what the next to lock it is told when that one was killed, and whether it is lost.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from told_process import SIZE, Objects, Process

from caffe2op_atomics import names

PROCESSES = 3

who = st.integers(0, PROCESSES - 1)
recover = st.sampled_from([False, False, True])
numbers = st.integers(-3, 3) | st.integers(-(2**63), 2**63 - 1)


def wrapped(number: int) -> int:
    return (number + 2**63) % 2**64 - 2**63


Answer = tuple[str, Any]  # "returned" and what, or the name of an error and a part of its text


@dataclass
class Model:
    """What is true: ``owner`` is a number of a process."""

    owner: int | None = None
    untold: bool = False  # an owner died, and no locker was told
    unrepaired: bool = False  # the owner was told, and has not said that it repaired
    lost: bool = False  # one released without
    deaths: int = 0
    value: int = 0
    is_set: bool = False
    table: list[int] = field(default_factory=lambda: [0] * SIZE)
    stripe_deaths: int = 0
    stripe_untold: bool = False

    def acquire(self, who: int, recover: bool, blocking: bool = True) -> Answer:
        """Return what an acquire answers: how it ends, and what it returns or says."""
        if self.owner == who and blocking:
            return "RuntimeError", "must not be held by the calling thread"
        if self.owner is not None:
            return "returned", False
        if self.lost:
            return "RuntimeError", "must not be lost"
        self.owner = who
        told, self.untold = self.untold, False
        self.unrepaired = told and not recover
        return ("OwnerDiedError", "acquired, but") if self.unrepaired else ("returned", True)

    def release(self, who: int) -> Answer:
        if self.owner != who:
            return "RuntimeError", "must be held by the calling thread"
        self.owner, self.lost, self.unrepaired = None, self.unrepaired, False
        return "returned", None

    def consistent(self, who: int) -> Answer:
        if self.owner != who:
            return "RuntimeError", "got one it does not hold"
        if not self.unrepaired:
            return "RuntimeError", "got one whose owner did not die"
        self.unrepaired = False
        return "returned", None

    def die(self, who: int) -> None:
        if self.owner == who:
            self.owner, self.untold, self.unrepaired = None, True, False
            self.deaths += 1


class SharedObjects(RuleBasedStateMachine):
    steps: ClassVar[int] = 0
    reached: ClassVar[set[str]] = set()

    @initialize(named=st.booleans())
    def make(self, named):
        self.name = f"machine.{uuid.uuid4().hex}" if named else None
        self.model, self.objects = Model(), Objects(self.name)
        self.processes = [self.new() for _ in range(PROCESSES)]

    def new(self) -> Process:
        return Process(self.objects, self.name)

    def teardown(self):
        for process in getattr(self, "processes", ()):
            process.die()
        if getattr(self, "name", None):
            for kind in ("mutex", "counter", "flag", "table"):
                assert names.unlink_name(f"{self.name}.{kind}")

    def check(self, answer: Answer, expected: Answer) -> None:
        (end, result), (must_end, must) = answer, expected
        assert end == must_end, (answer, expected)
        assert result == must if end == "returned" else must in result, (answer, expected)
        self.reached.add(end if end == "returned" else must)

    def tell(self, who: int, expected: Any, command: str, *args: Any) -> None:
        """Have a process call something that returns what is expected."""
        self.check(self.processes[who].ask(command, *args), ("returned", expected))

    @rule(who=who, recover=recover, blocking=st.booleans())
    def acquire(self, who, recover, blocking):
        command = f"{'recovering' if recover else 'mutex'}.acquire"
        answer = self.processes[who].ask(command, *((True, 0) if blocking else (False,)))
        self.check(answer, self.model.acquire(who, recover, blocking))

    @rule(who=who, likely=st.booleans())
    def release(self, who, likely):
        if likely and self.model.owner is not None:
            who = self.model.owner
        self.check(self.processes[who].ask("mutex.release"), self.model.release(who))

    @rule(who=who, likely=st.booleans())
    def consistent(self, who, likely):
        if likely and self.model.owner is not None:
            who = self.model.owner
        self.check(self.processes[who].ask("mutex.consistent"), self.model.consistent(who))

    @rule(who=who, likely=st.booleans())
    def kill(self, who, likely):
        if likely and self.model.owner is not None:
            who = self.model.owner
        self.processes[who].die()
        self.model.die(who)
        self.processes[who] = self.new()

    @precondition(lambda self: self.model.owner is not None)
    @rule(who=who, recover=recover, kill=st.booleans())
    def wait_for_the_holder(self, who, recover, kill):
        """Which releases or dies meanwhile."""
        holder = self.model.owner
        if who == holder:
            who = (who + 1) % PROCESSES
        self.processes[who].send(f"{'recovering' if recover else 'mutex'}.acquire")
        if kill:
            self.processes[holder].die()
            self.model.die(holder)
        else:
            self.check(self.processes[holder].ask("mutex.release"), self.model.release(holder))
        self.check(self.processes[who].answer(), self.model.acquire(who, recover))
        if kill:
            self.processes[holder] = self.new()

    @precondition(lambda self: not self.model.lost)
    @rule(who=who)
    def die_in_a_thread(self, who):
        free = self.model.owner is None
        self.tell(who, free, "acquire_and_end")
        if free:
            self.model.untold = True
            self.model.deaths += 1

    @rule(who=who)
    def count_deaths(self, who):
        self.tell(who, self.model.deaths, "recoveries")

    @rule(who=who)
    def release_in_a_fork(self, who):
        self.tell(who, True, "release_in_fork")

    @rule(who=who, n=numbers, command=st.sampled_from(["fetch_add", "fetch_sub", "next"]))
    def count(self, who, n, command):
        args = () if command == "next" else (n,)
        self.tell(who, self.model.value, f"counter.{command}", *args)
        change = {"fetch_add": n, "fetch_sub": -n, "next": 1}[command]
        self.model.value = wrapped(self.model.value + change)

    @rule(who=who, command=st.sampled_from(["set", "clear", "set_if"]), condition=st.booleans())
    def change_flag(self, who, command, condition):
        self.tell(who, None, f"flag.{command}", *((condition,) if command == "set_if" else ()))
        before = self.model.is_set
        self.model.is_set = {"set": True, "clear": False, "set_if": before or condition}[command]

    @rule(who=who, n=numbers)
    def wait(self, who, n):
        self.tell(who, self.model.is_set, "flag.wait", 0)
        self.tell(who, self.model.value >= n, "counter.wait_until", n, 0)

    @rule(who=who, n=numbers, index=st.lists(st.integers(0, SIZE - 1), max_size=6))
    def add_rows(self, who, n, index):
        self.tell(who, None, "table.index_add_", 0, torch.tensor(index, dtype=torch.int64), n)
        for at in index:
            self.model.table[at] = wrapped(self.model.table[at] + n)

    @rule(who=who, n=numbers, command=st.sampled_from(["add_", "store_", "exchange"]))
    def change_table(self, who, n, command):
        before = self.model.table
        self.tell(who, before if command == "exchange" else None, f"table.{command}", n)
        self.model.table = [wrapped(each + n) if command == "add_" else n for each in before]

    @rule(who=who)
    def lock_stripe(self, who):
        """What nobody was told of by a guarded op, this one is."""
        self.tell(who, 2 if self.model.stripe_untold else 1, "lock_stripe")
        self.model.stripe_untold = False

    @rule(who=who)
    def die_in_stripe(self, who):
        self.processes[who].send("die_in_stripe")
        self.processes[who].join()
        self.model.die(who)
        self.model.stripe_untold = True
        self.model.stripe_deaths += 1
        self.processes[who] = self.new()

    @invariant()
    def all_see_the_same(self):
        model, owner = self.model, self.model.owner
        held = owner is not None
        seen = (
            *(self.processes[owner].pid if held else None, held),
            *(model.value, model.is_set, model.table, model.stripe_deaths),
        )
        type(self).steps += 1
        self.tell(self.steps % PROCESSES, seen, "look")
