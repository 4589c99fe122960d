"""The examples in the docstrings run, and the reference has all that is public."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path
from types import ModuleType

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


def test_every_public_name_is_in_the_reference():
    pages = (Path(__file__).parent.parent / "docs" / "reference").glob("*.md")
    with_members = r"(?m)^::: (\S+)$(?!\n.*\bmembers: false)"
    shown = {name for page in pages for name in re.findall(with_members, page.read_text())}
    parts = [getattr(caffe2op_atomics, name) for name in caffe2op_atomics.__all__]
    for module in [caffe2op_atomics, *(part for part in parts if hasattr(part, "__all__"))]:
        for name in module.__all__:
            thing = getattr(module, name)
            path = module.__name__
            if not isinstance(thing, ModuleType):
                assert {path, f"{path}.{name}", thing.__module__} & shown, name
