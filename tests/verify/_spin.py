"""The death of owners of mutexes, at every moment of every process, in models of the protocol."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from _part import Part, Result, output_of

MODELS = Path(__file__).parent / "spin"


@dataclass(frozen=True)
class Check:
    """A model, right or with a mistake.

    Attributes:
        model: its name in the folder spin.
        what: what is checked.
        mistake: the name of the mistake in the model, empty for none.
        says: what is in spin's message if the mistake is found.
        found: what that says.
    """

    model: str
    what: str
    mistake: str = ""
    says: str = ""
    found: str = "nothing"


FOR_EVER = ("invalid end state", "the wait without end that was put there")
SWALLOWED = ("damaged", "the swallowed death that was put there")
FORGOTTEN = ("is_lost", "the use of a lost mutex that was put there")
COUNT = ("deaths", "the wrong count that was put there")
TORN = ("torn", "the wrong count that was put there")

CHECKS = (
    Check(
        "mutex",
        "3 processes that use one mutex as `Mutex`, as an op, as stripes or by mistake, killed "
        "at any moment: one holder, no death swallowed, none waits for ever, all counted",
    ),
    Check("mutex", "a mutex that is not robust", "NOT_ROBUST", *FOR_EVER),
    Check("mutex", "an op that goes on and tells nobody", "OP_TELLS_NOBODY", *SWALLOWED),
    Check("mutex", "stripes that go on and tell nobody", "STRIPE_TELLS_NOBODY", *SWALLOWED),
    Check("mutex", "a locker of other memory that keeps the news", "NEWS_KEPT", *SWALLOWED),
    Check("mutex", "the news written after the unlock", "NEWS_AFTER", *FORGOTTEN),
    Check("mutex", "an unlock without repair that is forgiven", "FORGIVEN", *FORGOTTEN),
    Check("mutex", "whoever hears of a death counts it", "COUNT_AGAIN", *COUNT),
    Check("mutex", "a torn step ended and counted by two stores", "TWO_STORES", *TORN),
    Check(
        "hold_all",
        "2 processes that hold any of 3 mutexes at once and one that goes from one to the next, "
        "killed at any moment: none waits for ever",
    ),
    Check("hold_all", "each in an order of its own", "OWN_ORDER", *FOR_EVER),
    Check("hold_all", "the next locked before the last is unlocked", "HAND_OVER_HAND", *FOR_EVER),
)


def run(folder: Path, seconds: float) -> Sequence[Result]:
    """Run all of CHECKS: the right models with two rounds and deaths if there is a minute."""
    long = seconds >= 60

    def result_of(check: Check) -> Result:
        # The models and mistakes are found by their names, each in a folder for what spin writes.
        own = folder / f"{check.model}{check.mistake}"
        own.mkdir()
        rounds = 2 if long and not check.mistake else 1
        kills = 2 if long or check.mistake else 1
        model = MODELS / f"{check.model}.pml"
        sizes = [f"-DROUNDS={rounds}", f"-DKILLS={kills}"]
        output_of(["spin", "-a", *sizes, f"-DMISTAKE_{check.mistake}", model], cwd=own)
        output_of(["gcc", f"-O{int(long)}", "-w", "-DSAFETY", "-o", "pan", "pan.c"], cwd=own)
        return row(check, output_of(["./pan", "-n"], cwd=own))

    with ThreadPoolExecutor() as pool:
        return list(pool.map(result_of, CHECKS))


def row(check: Check, output: str) -> Result:
    """Return the row of a check from what spin's verifier prints."""
    states = re.search(r"(\d+) states, stored", output)
    errors = re.search(r"errors: (\d+)", output)
    if states is None or errors is None or "max search depth too small" in output:
        raise RuntimeError(f"spin ended early:\n{output}")
    message = re.search(r"pan:1: (.*)", output)
    said = "" if message is None else message[1]
    as_expected = check.says in said if check.mistake else errors[1] == "0"
    return Result(
        what=check.what,
        how_much=f"{'after ' if said else ''}{int(states[1]):,} states",
        found=check.found if as_expected else said or "nothing",
        as_expected=as_expected,
    )


PART = Part(
    name="spin",
    title="Deaths of processes",
    about=(
        "Models of what Mutex, ops and stripes write to the header of a mutex "
        "(`tests/verify/spin`), each store a step, in which "
        "[spin](https://spinroot.com) kills processes at every moment and looks at every state "
        "that can be reached. That a death unlocks a robust mutex and tells the next owner is "
        "taken from glibc and the kernel. Each mistake that was put there has to be found."
    ),
    run=run,
    needs=(("spin", "spin"), ("gcc", "gcc")),
)
