"""Ops that do what fuzz_shard.py has to find, in its place.

python fuzz_control.py changes | crashes | hangs SEED STEP SECONDS LAST
"""

from __future__ import annotations

import ctypes
import sys
import time
from typing import Any

import fuzz_shard
from op_table import DENSE, Op
from torch import Tensor


def changes(target: Any) -> None:
    """Before anything is checked."""
    if isinstance(target, Tensor):
        storage = target.untyped_storage()
        ctypes.memset(storage.data_ptr(), 1, storage.nbytes())


def crashes(_: Any) -> None:
    ctypes.string_at(1)


def hangs(_: Any) -> None:
    time.sleep(fuzz_shard.TIMEOUT + 60)


class Broken(Op):
    """An op before which something happens that must not."""

    @property
    def overload(self) -> Any:
        op = super().overload

        def call(target: Any, *args: Any) -> Any:
            first(target)
            return op(target, *args)

        call._schema = op._schema
        return call


if __name__ == "__main__":
    first = {each.__name__: each for each in (changes, crashes, hangs)}[sys.argv.pop(1)]
    fuzz_shard.TIMEOUT = 5
    store = next(op for op in DENSE if op.name == "store_")
    fuzz_shard.main([Broken(store.name, store.arguments, store.dtypes)])
