"""Random commands to processes that share objects, against a model in plain Python."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from _part import ROOT, Part, Result
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

sys.path.insert(0, str(ROOT / "tests"))

from shared_machine import PROCESSES, SharedObjects


def run(_: Path, seconds: float) -> Sequence[Result]:
    what = f"{PROCESSES} processes with a Mutex, Counter, AtomicBool and GuardedTensor"
    found = "nothing"
    end = time.monotonic() + seconds
    options = settings(
        max_examples=50,
        stateful_step_count=50,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    try:
        while time.monotonic() < end:
            run_state_machine_as_test(SharedObjects, settings=options)
    except Exception as error:
        traceback.print_exc()
        found = str(error).splitlines()[0]
    return [Result(what, f"{SharedObjects.steps:,} commands", found, found == "nothing")]


PART = Part(
    "commands",
    "Random commands to several processes",
    "A model in plain Python says what each command returns: who holds the mutex, who is told that "
    "its holder was killed or its thread ended, when it is lost, and every value. Hypothesis "
    "looks for a sequence of commands that ends otherwise, kills and forks among them.",
    run,
)
