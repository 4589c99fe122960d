"""Workers are killed at random moments, again and again, and what they share stays right."""

from __future__ import annotations

import random

import pytest
from storm import storm
from storm_subjects import all_subjects


@pytest.mark.timeout(600)
@pytest.mark.parametrize("look", [False, True])
def test_kills_lose_nothing_but_what_was_in_flight(look):
    seed = random.randrange(2**32)
    print(f"{seed=}", storm(all_subjects(), 30, 3, look, seed))
