"""The self-test of ``python -m caffe2op_atomics``: each promise tried once, in about five seconds.

It needs nothing but the package, and never hangs: every check has a time in which it must end.
"""

from __future__ import annotations

import faulthandler
import time
import traceback
from collections.abc import Callable, Mapping
from functools import partial

from . import _self_checks
from ._helpers import LIFE, Crew, Job
from ._self_checks import HELPERS, CheckError

CHECKS: Mapping[str, Callable[[Crew], str]] = {
    "compile guard": _self_checks.compile_guard,  # while the other processes come
    "other processes": _self_checks.arrival,
    "threads": _self_checks.threads,
    "processes": _self_checks.processes,
    "counter": _self_checks.counter,
    "guarded tensor": _self_checks.guarded,
    "flag": _self_checks.flag,
    "name": _self_checks.name,
    "killed holder": _self_checks.killed_holder,  # one of the helpers: the last
}


def run(seconds: float = 3 * _self_checks.PATIENCE) -> bool:
    """Try everything, each for so many seconds; print a line for each, return whether all held."""
    # The last resort, against a hang that keeps the GIL: prints where, and exits with 1.
    faulthandler.dump_traceback_later(LIFE, exit=True)
    began, failed = time.monotonic(), 0
    print("self-test")
    crew = Crew(HELPERS)
    try:
        for name, check in CHECKS.items():
            try:
                state, found = "ok", Job(partial(check, crew)).result(seconds)
            except Exception as error:
                state, found = "FAILED", _described(error)
                failed += 1
                # They hold memory, which the next checks may want.
                traceback.clear_frames(error.__traceback__)
            print(f"  {name:<15}  {state:<6}  {found}", flush=True)
    finally:
        crew.end()
        faulthandler.cancel_dump_traceback_later()
    count = f"{failed} of {len(CHECKS)} checks FAILED" if failed else "all passed"
    print(f"  {count} in {time.monotonic() - began:.1f} s")
    return failed == 0


def _described(error: Exception) -> str:
    text = " ".join(str(error).split())
    known = isinstance(error, (CheckError, TimeoutError))
    return text if known else f"{type(error).__name__}: {text}"
