"""Processes that attach to, create and unlink one name, for the explorer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import _named_files
from _interleave import Actor, access, pid
from _named_files import NAME
from torch import Tensor

from caffe2op_atomics import _named, _shared_file, names
from caffe2op_atomics._shared_file import COUNTER, path_of


def fill(memory: Tensor) -> None:
    """Write who made it, in two accesses."""
    for i in range(2):
        access(partial(memory.__setitem__, i, pid()))


class Users:
    """Processes, each with a list of what it does: attach, unlink, remove, receive.

    ``unlink`` is of what it attached to last, ``remove`` that of ``python -m caffe2op_atomics``,
    and ``receive`` of an object that was there before, and was sent by name.
    """

    def __init__(self, *scripts: str, there: bool = False) -> None:
        self._scripts, self._there = scripts, there
        self.actors: Sequence[Actor] = ()

    def __call__(self) -> Users:
        """Begin again."""
        self._files = _named_files.begin()
        self._complaints: list[str] = []
        self._since: dict[int, int] = {}  # how long the history was when a call began
        if self._there:
            _, self._sent = _named.attach(COUNTER, NAME, fill)
        self.actors = [
            Actor(number, partial(self._run, script.split()))
            for number, script in enumerate(self._scripts, 1)
        ]
        return self

    def _run(self, script: list[str]) -> None:
        for verb in script:
            self._since[pid()] = len(self._files.meant) - 1
            if verb == "attach":
                memory, file = _named.attach(COUNTER, NAME, fill)
                self._check_attached(memory, file)
            elif verb == "receive":
                self._receive()
            elif verb == "unlink":
                self._check_unlinked(file.unlink(), self._files.label(file.inode))
            else:
                self._check_unlinked(names.unlink_name(NAME), None)

    def _check_attached(self, memory: Tensor, file: _named.NamedFile) -> None:
        label, meanings = self._files.label(file.inode), self._meanings()
        maker, values = int(label.split(".")[0]), access(lambda: memory[:2].tolist())
        if values != [maker, maker]:
            self._complain(f"found {values} in what process {maker} made")
        if label not in meanings:
            self._complain(f"attached to {label} when the name meant {meanings}")

    def _check_unlinked(self, did: bool, wanted: str | None) -> None:
        """Check the answer of an unlink of ``wanted``, or of whatever there is."""
        meanings, changes = self._meanings(), self._files.meant[self._since[pid()] :]
        unlinked = [
            before for (before, _), (_, who) in pairwise(changes) if who == pid() and before
        ]
        if len(unlinked) != did or (wanted and unlinked not in ([], [wanted])):
            self._complain(f"unlinked {unlinked} and not {wanted}, and returned {did}")
        if not did and all(meant == wanted if wanted else meant for meant in meanings):
            self._complain(f"did not unlink {wanted} when the name meant {meanings}")

    def _receive(self) -> None:
        try:
            memory = _named.attach_sent(self._sent)
        except RuntimeError:
            if set(self._meanings()) == {self._files.label(self._sent.inode)}:
                self._complain("did not get what was sent when the name meant it")
        else:
            self._check_attached(memory, self._sent)

    def _meanings(self) -> list[str | None]:
        """Return what the name has meant since the call of this process began."""
        return [meant for meant, _ in self._files.meant[self._since[pid()] :]]

    def _complain(self, what: str) -> None:
        self._complaints.append(f"process {pid()} {what}")

    def shared(self) -> object:
        """Return all files, and the name in time, from which follows what is complained of."""
        return self._files.contents(), self._files.meant, sorted(self._since.items())

    def bury(self, dead: int) -> None:
        self._files.bury(dead)

    def wrong(self) -> str | None:
        """Return what somebody complained of, or the next user would find."""
        self._run(["attach"])
        there = list(_shared_file.DIRECTORY.iterdir())
        if there != [path_of("", NAME)]:
            self._complain(f"found {there}")
        if any(before and after for (before, _), (after, _) in pairwise(self._files.meant)):
            self._complain("saw a file replaced by another one")
        if any(self._files.opened.values()):
            self._complain("found descriptors that were left open")
        return "; ".join(self._complaints) or None

    def close(self) -> None:
        self._files.end()
