"""A part of the verification: what it is called, and what a run of it gives."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Result:
    """One row of docs/verification.md.

    Attributes:
        what: what was run, with what it is about.
        how_much: of what how many, such as "71,220 interleavings".
        found: what was found, "nothing" if that is so; for a control that has to be found, "the
            race that was put there".
        as_expected: whether that is what has to be found.
    """

    what: str
    how_much: str
    found: str
    as_expected: bool


@dataclass(frozen=True)
class Part:
    """A heading of docs/verification.md.

    Attributes:
        name: as on the command line.
        title: the heading.
        about: a sentence or a few below it: what is promised, and why this can tell.
        run: runs it for about so many seconds, if its length can be chosen, in a folder for what
            it builds.
        needs: programs that have to be installed, with the package of Debian that has each.
    """

    name: str
    title: str
    about: str
    run: Callable[[Path, float], Sequence[Result]]
    needs: Sequence[tuple[str, str]] = ()

    def missing(self) -> list[str]:
        """Return the packages that are not installed: of programs, or files in /usr/include."""
        return [
            package
            for program, package in self.needs
            if shutil.which(program) is None and not Path("/usr/include", program).exists()
        ]


def output_of(command: Sequence[str | Path], **options: object) -> str:
    """Run a command and return what it prints.

    Raises:
        RuntimeError: if it fails, with what it printed.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")
    return str(done.stdout)
