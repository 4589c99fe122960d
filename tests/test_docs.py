"""The examples in the docstrings run and print what they say."""

from __future__ import annotations

import doctest
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import caffe2op_atomics

PACKAGE = Path(caffe2op_atomics.__file__).parent
MODULES = [
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if path.stem != "__main__"
]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    results = doctest.testmod(importlib.import_module(name), extraglobs={"torch": torch})
    assert results.failed == 0


@pytest.mark.parametrize("name", caffe2op_atomics.__all__ + caffe2op_atomics.ops.__all__)
def test_public_name_is_documented(name):
    owner = caffe2op_atomics if hasattr(caffe2op_atomics, name) else caffe2op_atomics.ops
    assert getattr(owner, name).__doc__


@pytest.mark.timeout(240)
def test_readme_code_runs(tmp_path):
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    script = tmp_path / "readme.py"
    script.write_text("\n".join(re.findall(r"```python\n(.*?)```", readme, re.DOTALL)))
    result = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=200, check=True
    )
    first, last = result.stdout.splitlines()
    assert first.startswith("200,000 updates by 2 workers: ")
    assert re.fullmatch(r"Counter\(value=\d+\) GuardedTensor\(.*\) tensor\(True\)", last)
