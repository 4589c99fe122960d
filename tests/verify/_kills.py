"""Storms: workers die at random moments, and everything that they shared is accounted for."""

from __future__ import annotations

import faulthandler
import random
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from _part import ROOT, Part, Result

sys.path.insert(0, str(ROOT / "tests"))

from storm import WORKERS, storm
from storm_subjects import all_subjects

KILLS = 500  # in each of two storms


def _result(look: bool, seconds: float) -> Result:
    seed = random.randrange(2**32)
    what = f"{WORKERS} workers, killed " + ("when stopped and looked at" if look else "as they ran")
    try:
        came = storm(all_subjects(), KILLS, seconds, look, seed)
    except AssertionError as error:
        traceback.print_exc()
        found = f"with seed {seed}: {error or 'see its output'}".splitlines()[0]
        return Result(what, f"up to {KILLS} kills", found, as_expected=False)
    how_much = (
        f"{came.kills:,} kills, {came.in_flight:,} of them in one of {came.calls:,} calls; "
        f"{came.recoveries:,} mutexes were held, {came.torn} steps torn"
    )
    return Result(what, how_much, "nothing", as_expected=True)


def run(_: Path, seconds: float) -> Sequence[Result]:
    # The storm watches its workers; this watches the storm.
    faulthandler.dump_traceback_later(10 * seconds + 600, exit=True)
    results = [_result(look, seconds / 2) for look in (False, True)]
    faulthandler.cancel_dump_traceback_later()
    return results


PART = Part(
    "kills",
    "Kill storms",
    "Whatever a worker is killed in, the others go on, and what was shared is exact but for the "
    "one call in flight: each element is the sum of the finished calls, and of the begun ones at "
    "most; no ticket, batch or exchanged value is lost or in two places; every mutex can be "
    "locked; names can be attached to, and nothing is left in /dev/shm, but for a file of torch's "
    "of which it has not yet removed the name. Of workers that were "
    "stopped and looked at before they were killed, the deaths while holding a mutex and the torn "
    "steps that the package counts are exactly those that were seen.",
    run,
)
