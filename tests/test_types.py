"""The stub of the registered ops is that of their schemas; typed.py uses all that is public."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import caffe2op_atomics

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))
import stubs

PROGRAM = Path(__file__).parent / "typed.py"


def test_the_stub_is_that_of_the_schemas():
    pytest.importorskip("ruff", reason="it formats the stub")
    assert stubs.stub() == stubs.STUB.read_text(), "run python tools/stubs.py"


@pytest.mark.parametrize("name", caffe2op_atomics.__all__)
def test_the_program_uses_all_that_is_public(name):
    assert re.search(rf"\b{name}\b", PROGRAM.read_text())
