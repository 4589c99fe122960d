"""Runs real functions under every interleaving of what they share, with or without a death.

Each actor is a thread that stops before every access to what is shared until the explorer lets it
do that one. The search is depth-first, and runs everything again for each branch. It goes on from a
state once: what is shared, with what each actor has seen of it, which with its code is all that its
future depends on. So a great many interleavings meet in few states; all are covered, and counted,
with no bound on preemptions. An access is taken to be atomic and the same for all who see it.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

# Nobody needs that many accesses; who makes them goes round in circles.
_MOST = 300

_Result = TypeVar("_Result")
_here = threading.local()


class Killed(BaseException):
    """Ends the thread of an actor that died; what it passes through must not touch anything."""


class Actor(threading.Thread):
    """One that runs ``body``; those with the same ``pid`` are threads of one process."""

    def __init__(self, pid: int, body: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self.pid = pid
        self.seen: list[object] = []
        self.ended = self.dead = self.blocked = False
        self.error: Exception | None = None
        self._body = body
        self._go, self._stopped = threading.Lock(), threading.Lock()
        self._go.acquire(), self._stopped.acquire()

    def run(self) -> None:
        _here.actor = self
        try:
            self._body()
        except Killed:
            pass
        except Exception as error:
            self.error = error
        self.ended = True
        self._stopped.release()

    def begin(self) -> None:
        """Run up to the first access."""
        self.start()
        self._stopped.acquire()

    def step(self) -> None:
        """Do the next access, and run up to the one after it."""
        self._go.release()
        self._stopped.acquire()

    def access(self, call: Callable[[], _Result], saw: Callable[[_Result], object]) -> _Result:
        if len(self.seen) == _MOST:
            raise RuntimeError(f"{_MOST} accesses without an end")
        while True:
            if self.dead:
                raise Killed
            self._stopped.release()
            self._go.acquire()
            if self.dead:
                raise Killed
            try:
                result = call()
            except BlockingIOError:  # until another one has done something
                self.blocked = True
                continue
            except Exception as error:
                self.seen.append(type(error).__name__)
                raise
            self.seen.append(saw(result))
            return result


def pid() -> int:
    """Return the pid of the actor whose thread this is; 0 for the explorer's."""
    me = getattr(_here, "actor", None)
    return me.pid if me else 0


def access(
    call: Callable[[], _Result], saw: Callable[[_Result], object] = lambda result: result
) -> _Result:
    """Do an access to what is shared when the explorer says so; ``saw`` is what one learns of it.

    One that raises BlockingIOError has done nothing, and is tried again when others have moved.
    """
    me: Actor | None = getattr(_here, "actor", None)
    return call() if me is None else me.access(call, saw)


class Scene(Protocol):
    """What is shared and who shares it, made anew for each execution."""

    actors: Sequence[Actor]

    def shared(self) -> object:
        """Return what is shared; two that are the same have the same repr."""

    def bury(self, dead: int) -> None:
        """Do what the kernel does when that process has died."""

    def wrong(self) -> str | None:
        """Return what is wrong when nobody has anything left to do."""

    def close(self) -> None:
        """Take it down."""


@dataclass(frozen=True)
class Explored:
    """In how many states, and interleavings of accesses and deaths, what was found wrong."""

    states: int
    interleavings: int
    wrong: str | None = None


@dataclass
class _Fork:
    state: bytes
    choices: list[tuple[int, bool]]  # who does the next access, or dies
    at: int = 0
    interleavings: int = 0


def explore(make: Callable[[], Scene], deaths: int = 0) -> Explored:
    """Explore all interleavings with up to ``deaths`` processes killed, or until one is wrong."""
    known: dict[bytes, int] = {}  # how many interleavings there are from a state on
    path: list[_Fork] = []
    while True:
        found, wrong = _execute(make, deaths, known, path)
        if wrong:
            return Explored(len(known) + len(path), 0, wrong)
        while True:
            last = path[-1]
            last.interleavings += found
            last.at += 1
            if last.at < len(last.choices):
                break
            found = known[last.state] = last.interleavings
            path.pop()
            if not path:
                return Explored(len(known), found)


def _execute(
    make: Callable[[], Scene], deaths: int, known: dict[bytes, int], path: list[_Fork]
) -> tuple[int, str | None]:
    """Go along ``path``, and on to what is known or over; return how many and what is wrong."""
    scene = make()
    try:
        for each in scene.actors:
            each.begin()
        for fork in path:
            _move(scene, fork.choices[fork.at])
        while choices := _choices(scene, deaths):
            state = _state(scene)
            if state in known:
                return known[state], None
            path.append(_Fork(state, choices))
            _move(scene, choices[0])
        known[_state(scene)] = 1
        return 1, _wrong(scene)
    finally:
        for each in scene.actors:
            _kill(each)
        scene.close()


def _choices(scene: Scene, deaths: int) -> list[tuple[int, bool]]:
    left = [(i, each) for i, each in enumerate(scene.actors) if not each.ended]
    choices = [(i, False) for i, each in left if not each.blocked]
    if choices and len({each.pid for each in scene.actors if each.dead}) < deaths:
        choices += [(i, True) for i in {each.pid: i for i, each in reversed(left)}.values()]
    return choices


def _move(scene: Scene, choice: tuple[int, bool]) -> None:
    mover = scene.actors[choice[0]]
    if choice[1]:
        for each in scene.actors:
            if each.pid == mover.pid:
                _kill(each)
        scene.bury(mover.pid)
    else:
        mover.step()
    if not mover.blocked:
        for each in scene.actors:
            each.blocked = False


def _kill(victim: Actor) -> None:
    victim.dead = True
    if not victim.ended:
        victim.step()
    victim.join()


def _state(scene: Scene) -> bytes:
    each = [(actor.dead, actor.blocked, actor.seen) for actor in scene.actors]
    return hashlib.blake2b(repr((scene.shared(), each)).encode(), digest_size=16).digest()


def _wrong(scene: Scene) -> str | None:
    for each in scene.actors:
        if each.error is not None:
            return f"process {each.pid} raised {each.error!r}"
        if not each.ended:
            return f"process {each.pid} waits for ever"
    return scene.wrong()
