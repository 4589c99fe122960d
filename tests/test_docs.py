"""The examples in the docstrings run and print what they say."""

from __future__ import annotations

import doctest
import importlib
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

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


def code_of(page: str) -> str:
    text = (Path(__file__).parent.parent / page).read_text()
    return "\n".join(map(dedent, re.findall(r"```python\n(.*?)```", text, re.DOTALL)))


def test_code_of_the_page_on_compilers_runs():
    given = {
        "torch": torch,
        "atomics": caffe2op_atomics,
        "work": torch.relu,
        "x": torch.ones(2),
        "done": caffe2op_atomics.AtomicBool(),
        "weights": [caffe2op_atomics.GuardedTensor([2])],
        "gradients": [torch.ones(2)],
    }
    exec(code_of("docs/compile.md"), given)
    assert given["steps"].value == 1
    assert given["table"].eq(-0.01).all()
    assert given["weights"][0].tensor.eq(-0.01).all()
    assert given["done"].is_set()


@pytest.mark.timeout(240)
def test_readme_code_runs(tmp_path):
    script = tmp_path / "readme.py"
    script.write_text(code_of("README.md"))
    result = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=200, check=True
    )
    first, last = result.stdout.splitlines()
    assert first.startswith("200,000 updates by 2 workers: ")
    assert re.fullmatch(r"Counter\(value=\d+\) GuardedTensor\(.*\) tensor\(True\)", last)
