"""Waiting for what nobody wakes one for: looks again and again, and Ctrl-C ends it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable


def poll(ready: Callable[[], bool], seconds: float, first: float, longest: float) -> bool:
    """Wait until ``ready()``; return False if ``seconds`` pass first, -1 being for ever.

    Sleeps ``first`` seconds between two looks, and twice as long each time, up to ``longest``.
    """
    deadline = math.inf if seconds < 0 else time.monotonic() + seconds
    while not ready():
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(left, first))
        first = min(2 * first, longest)
    return True
