"""The loops in which threads meet, through all interleavings of a model of C++'s memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from _part import Part, Result, output_of

PROGRAMS = Path(__file__).parent / "relacy"
RIGHT = "SUCCESS"


@dataclass(frozen=True)
class Run:
    """A run that a program of the folder relacy prints a line on.

    Attributes:
        what: what is run.
        ends: how, in Relacy's words.
        found: what that says.
    """

    what: str
    ends: str = RIGHT
    found: str = "nothing"


LOST_UPDATE = ("USER ASSERT FAILED", "the lost update that was put there")
LOST_WAKE_UP = ("DEADLOCK", "the lost wake-up that was put there")
RACE = ("DATA RACE", "the race that was put there")

RUNS: Mapping[str, Mapping[str, Run]] = {
    "update": {
        "updates": Run(
            "`Ref::fetch_update` and `fetch_add_below` of 3 threads on 2 cells: none lost"
        ),
        "a read and a write for an update": Run("a read and a write for an update", *LOST_UPDATE),
        "message": Run("`max_` after a plain write, in the order of bulk calls: the write is seen"),
        "relaxed order": Run("the same in relaxed order", *RACE),
        "word": Run("a word of 2 cells, loaded in halves, of 3 threads: no update lost"),
        "a read and a write for a swap": Run("a read and a write for its swap", *LOST_UPDATE),
        "not calculated again": Run(
            "its cells not calculated again after another's swap", *LOST_UPDATE
        ),
    },
    "sleepers": {
        "sleepers": Run("a Counter: 2 threads wait for different values, 1 adds twice"),
        "adders": Run("a Counter: 1 thread waits for what 2 reach together"),
        "no second look": Run("no second look before the sleep", *LOST_WAKE_UP),
        "wake-ups not counted": Run("wake-ups are not counted", *LOST_WAKE_UP),
        "a sleep without a comparison": Run(
            "a sleep that does not compare the count", *LOST_WAKE_UP
        ),
        "acquire-release order": Run(
            "acquire-release instead of sequentially consistent order", *LOST_WAKE_UP
        ),
        "relaxed order": Run("relaxed order", *RACE),
        "a read and a write for an addition": Run(
            "a read and a write for an addition",
            "DEADLOCK",
            "the wait for an addition that was lost",
        ),
        "flag": Run("an AtomicBool: 2 threads wait, 1 sets it twice"),
        "a flag's sleep without a comparison": Run(
            "a sleep that does not compare the flag", *LOST_WAKE_UP
        ),
        "a flag of relaxed order": Run("a flag of relaxed order", *RACE),
    },
    "handles": {
        "handles": Run("a slot of the handles: 2 threads use it, 1 closes it, it is used again"),
        "emptied before all have left": Run(
            "emptied before all have left", "DATA RACE", "the use after it that was put there"
        ),
        "the number of before": Run(
            "opened again under the number of before",
            "USER ASSERT FAILED",
            "the use of another tensor that was put there",
        ),
        "a read and a write for a swap": Run(
            "a read and a write for a swap of its word",
            "DATA RACE",
            "the use after it was emptied that was put there",
        ),
        "relaxed order": Run("a slot of relaxed order", *RACE),
    },
    "wait": {
        "wait": Run("`wait` on an int32 of 2 threads, `notify` of 1"),
        "wait for an int64": Run("`wait` on an int64, whose words are looked at one by one"),
        "no fence after the last look": Run("no fence after the last look", *RACE),
        "a sleep without a comparison": Run(
            "a sleep that does not compare the word", *LOST_WAKE_UP
        ),
        "notified before the change": Run("`notify` before the change", *LOST_WAKE_UP),
        "high word": Run(
            "an int64 that changes in its high word only: the kernel compares the low one",
            "DEADLOCK",
            "a lost wake-up, which the end of a sleep makes good after at most 50 ms",
        ),
    },
}


def run(folder: Path, seconds: float) -> Sequence[Result]:
    """Run all of RUNS: with up to 4 preemptions if there is a minute, or 2."""
    long = seconds >= 60

    def lines_of(program: str) -> list[str]:
        built = folder / program
        output_of(["g++", "-std=c++20", f"-O{int(long)}", PROGRAMS / f"{program}.cpp", "-o", built])
        return output_of([built, "4" if long else "2"]).splitlines()

    with ThreadPoolExecutor() as pool:
        outputs = dict(zip(RUNS, pool.map(lines_of, RUNS), strict=True))
    return [
        result_of(runs[name], int(count), ended)
        for program, runs in RUNS.items()
        for name, count, ended in (line.split("\t") for line in outputs[program])
    ]


def result_of(run: Run, count: int, ended: str) -> Result:
    """Return the row of a run that ended after so many interleavings."""
    return Result(
        what=run.what,
        how_much=f"{count:,} interleavings" if ended == RIGHT else f"interleaving {count:,}",
        found=run.found if ended == run.ends else ended.lower(),
        as_expected=ended == run.ends,
    )


PART = Part(
    name="relacy",
    title="Interleavings of threads",
    about=(
        "The loops of updates and waits are templates on their atomics (`cas_loop.h`, "
        "`ref.h`, `sleepers.h`, `cpu/wait_loop.h` and `cpu/handle_slot.h` in `csrc/`). Here the "
        "same code runs on those of [Relacy](https://github.com/dvyukov/relacy), which tries every "
        "interleaving of the threads up to a number of preemptions, and every value that a load "
        "may see by the C++ memory model. A sleep has no end but a wake-up there, so that a "
        "lost one is a deadlock. Each mistake that was put there has to be found."
    ),
    run=run,
    needs=(("relacy/relacy.hpp", "relacy-dev"), ("g++", "g++")),
)
