"""A short run of the part "fuzz" of `make verify`, and what that has to find."""

from __future__ import annotations

import pytest
from _fuzz import CONTROLS, control, environment, fuzz


@pytest.mark.timeout(400)  # more than that of a shard
def test_random_arguments_do_no_harm(tmp_path):
    result = fuzz(tmp_path, 15, environment())
    assert result.as_expected, result.found


@pytest.mark.parametrize("kind", CONTROLS)
def test_harm_is_found(kind, tmp_path):
    assert control(kind, tmp_path).as_expected
