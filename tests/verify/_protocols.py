"""The protocols in Python: the sampler's tickets, and objects by name, under every interleaving."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import _named_files
import _protocol_mutants as mutants
import _sampler_scene
from _interleave import Explored, Scene, explore
from _named_scene import Users
from _part import Part, Result
from _sampler_scene import Trainers

Stopping = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class Case:
    """A small configuration, as it is, or with a mistake that has to be found."""

    what: str
    scene: Callable[[], Callable[[], Scene]]
    stopping: Stopping
    deaths: int = 0
    mutant: Callable[[], AbstractContextManager[object]] = nullcontext

    def explore(self) -> Explored:
        """Explore it."""
        with self.stopping(), self.mutant():
            return explore(self.scene(), self.deaths)

    @property
    def is_mutant(self) -> bool:
        """Whether something has to be found."""
        return self.mutant is not nullcontext


def trainers(what: str, scene: Callable[[], Trainers], *more: object, rows: int = 3) -> Case:
    """Return a case of the sampler, whose table has so many rows."""
    return Case(what, scene, partial(_sampler_scene.stopping, rows), *more)  # type: ignore[arg-type]


def users(what: str, scene: Callable[[], Users], *more: object) -> Case:
    """Return a case of names."""
    return Case(what, scene, _named_files.stopping, *more)  # type: ignore[arg-type]


QUICK = (
    trainers("2 trainers, an epoch of 2 batches, one killed", lambda: Trainers(2), 1),
    trainers("the same, each drawing one batch ahead", lambda: Trainers(2, prefetch=1), 1),
    trainers(
        "a trainer that ends or is killed, and one who asks what is unfinished",
        lambda: Trainers(2, (1,), exits=True, asks=True),
        1,
    ),
    users("2 create or attach, one killed", lambda: Users("attach", "attach"), 1),
    users(
        "1 attaches and unlinks, 1 removes the name, one killed",
        lambda: Users("attach unlink", "remove", there=True),
        1,
    ),
)
LONG = (
    trainers("2 trainers, an epoch of 3 batches, one killed", lambda: Trainers(3), 1),
    trainers("3 trainers, an epoch of 1 batch, one killed", lambda: Trainers(1, (1, 1, 1)), 1),
    trainers("2 trainers, 2 epochs of 1 batch, one killed", lambda: Trainers(1, (2, 2)), 1),
    trainers(
        "2 threads of a process and another one, an epoch of 1 batch, one process killed",
        lambda: Trainers(1, (1, 1, 1), threads=True),
        1,
    ),
    trainers(
        "2 that enter the table of trainers first, one killed", lambda: Trainers(1, enter=True), 1
    ),
    trainers(
        "the same with a table of one row, which is given away after a death or an end",
        lambda: Trainers(2, exits=True, enter=True),
        1,
        rows=1,
    ),
    trainers(
        "2 trainers that end, and one who asks what is unfinished, one killed",
        lambda: Trainers(1, exits=True, asks=True),
        1,
    ),
    users("3 create or attach, one killed", lambda: Users("attach", "attach", "attach"), 1),
    users("2 attach and unlink, one killed", lambda: Users("attach unlink", "attach unlink"), 1),
    users(
        "1 attaches, unlinks and makes it again, 1 attaches and unlinks",
        lambda: Users("attach unlink attach", "attach unlink"),
    ),
    users(
        "1 receives what was sent by name, 1 attaches and unlinks, 1 attaches, one killed",
        lambda: Users("receive", "attach unlink", "attach", there=True),
        1,
    ),
)
MUTANTS = (
    trainers("a batch drawn by load and store", lambda: Trainers(2), 0, mutants.torn_exchange),
    trainers("an epoch begun by a store", lambda: Trainers(1, (2, 2)), 0, mutants.begin_by_store),
    trainers("the record of a draw left to the drawer", lambda: Trainers(2), 1, mutants.unrecorded),
    trainers("a record stored over what is there", lambda: Trainers(2), 1, mutants.stored_record),
    trainers(
        "a row of the table taken by a store",
        lambda: Trainers(2, enter=True),
        1,
        mutants.entered_by_store,
    ),
    trainers(
        "a row given away whose number drew last",
        lambda: Trainers(2, enter=True),
        1,
        mutants.last_forgotten,
        rows=1,
    ),
    trainers(
        "a row given away that has unfinished batches",
        lambda: Trainers(2, (1, 1, 1), enter=True),
        1,
        mutants.unfinished_forgotten,
        rows=2,
    ),
    trainers(
        "unfinished without the record of the last draw",
        lambda: Trainers(2),
        1,
        mutants.last_not_listed,
    ),
    trainers(
        "unfinished that looks at records once, and then who lives",
        lambda: Trainers(2, (1,), exits=True, asks=True),
        0,
        mutants.one_look,
    ),
    trainers(
        "a batch called done one call too soon",
        lambda: Trainers(2, prefetch=1),
        1,
        mutants.done_too_soon,
    ),
    users(
        "a file linked before it is filled", lambda: Users("attach", "attach"), 0, mutants.unfilled
    ),
    users(
        "a file made at its name, then filled",
        lambda: Users("attach", "attach"),
        1,
        mutants.made_at_its_name,
    ),
    users(
        "a file that replaces one of its name",
        lambda: Users("attach", "attach"),
        0,
        mutants.replaced,
    ),
    users(
        "unlink without the lock",
        lambda: Users("attach unlink attach", "attach unlink"),
        0,
        mutants.unlocked,
    ),
    users(
        "unlink without a look under the lock",
        lambda: Users("attach unlink attach", "attach unlink"),
        0,
        mutants.unlooked,
    ),
    users(
        "what is sent by name taken for what the name means",
        lambda: Users("receive", "attach unlink attach", there=True),
        0,
        mutants.any_file,
    ),
)


def run(folder: Path, seconds: float) -> Sequence[Result]:
    """Explore all; how long it takes is given."""
    return [result_of(case) for case in (*QUICK, *LONG, *MUTANTS)]


def result_of(case: Case) -> Result:
    """Explore a case."""
    explored = case.explore()
    count = f"{explored.states:,} states"
    if explored.wrong is None:
        count += f", {_short(explored.interleavings)} interleavings"
    what = f"mutant: {case.what}" if case.is_mutant else case.what
    return Result(what, count, explored.wrong or "nothing", bool(explored.wrong) == case.is_mutant)


def _short(number: int) -> str:
    return f"{number:,}" if number < 10**7 else f"{number:.1e}"


PART = Part(
    "protocols",
    "The protocols in Python, under every interleaving",
    "The code of `SharedBatchSampler` and of `name=` itself, over the real ops and the real "
    "/dev/shm. Each process is stopped before every access to what is shared; every order of "
    "these accesses is run, with a death of one process between any two of them. A state is all "
    "that is shared, with all that each process has seen of it; interleavings that meet in one "
    "are run on from there once, and all are counted. Afterwards every batch was trained on "
    "exactly once or is listed by `unfinished()`; a name meant one whole file at a time, "
    "whoever attached got one that it meant meanwhile, and an unlink removed that one. Mutants "
    "have a mistake put in, which has to be found. An access is taken to be atomic, and seen by "
    "all in one order: that is about the ops.",
    run,
)
