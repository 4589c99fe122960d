"""The models of `make verify`, smaller: what is promised holds, and every mistake is found."""

from __future__ import annotations

from pathlib import Path

import _relacy
import _spin
import pytest
from _part import Part


@pytest.mark.parametrize("part", [_relacy.PART, _spin.PART], ids=lambda part: part.name)
def test_models_hold_and_their_mistakes_are_found(part: Part, tmp_path: Path) -> None:
    if part.missing():
        pytest.skip(f"needs the packages {', '.join(part.missing())}")
    results = part.run(tmp_path, 1)
    assert [result for result in results if not result.as_expected] == []
    assert len(results) > 1
