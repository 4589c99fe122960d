"""The examples in the docstrings run and print what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest
import torch

import caffe2op_atomics

PACKAGE = Path(caffe2op_atomics.__file__).parent
MODULES = [path.stem for path in PACKAGE.glob("*.py") if path.stem != "__main__"]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    module = importlib.import_module(
        "caffe2op_atomics" if name == "__init__" else f"caffe2op_atomics.{name}"
    )
    results = doctest.testmod(module, extraglobs={"torch": torch})
    assert results.failed == 0


@pytest.mark.parametrize("name", caffe2op_atomics.__all__ + caffe2op_atomics.ops.__all__)
def test_public_name_is_documented(name):
    owner = caffe2op_atomics if hasattr(caffe2op_atomics, name) else caffe2op_atomics.ops
    assert getattr(owner, name).__doc__
