"""The protocols of objects in a store of torch.distributed, under every interleaving."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from _part import Part, Result
from _protocols import Case, result_of
from _store_scene import Store, StoreMakers, StoreTrainers, stopping

from caffe2op_atomics.distributed import Counter
from caffe2op_atomics.distributed._tickets import StoreTickets


def store(what: str, scene: Callable[[], Any], deaths: int = 0, *mutant: Any) -> Case:
    """Return a case."""
    return Case(what, lambda: scene, stopping, deaths, *mutant)


def _torn_add(self: Store, method: str, *args: Any) -> Any:
    if method != "add":
        return _call(self, method, *args)
    key, n = args
    value = int(_call(self, "compare_set", key, "?", "?").strip(b"?") or 0) + n
    _call(self, "delete_key", key)
    return _call(self, "add", key, value)


def _begin_without_closing(self: StoreTickets, epoch: int) -> None:
    if self._get("epoch") < epoch:
        _begin(self, epoch)


def _forget_too_much(self: StoreTickets, left: int, new: int) -> None:
    _forget(self, left, new + 1)


def _init_by_set(self: Counter, name: str, initial: int, **options: Any) -> None:
    _init(self, name, initial, **options)
    if self._link.read(f"{self._key}/made") is None:
        self._link.call("compare_set", f"{self._key}/made", "", "1")
        self._link.call("delete_key", self._key)
        self._link.call("compare_set", self._key, "", str(initial))


_init = Counter.__init__
_call, _begin, _forget = Store.call, StoreTickets.begin, StoreTickets._forget


def _putting(where: Any, name: str, mistake: object) -> Callable[[], AbstractContextManager[Any]]:
    return partial(patch.object, where, name, mistake)


QUICK = (
    store("2 trainers, an epoch of 2 batches, one killed", StoreTrainers(2, [0], [0]), 1),
    store("1 trainer in epoch 0 and 1 in epoch 1", StoreTrainers(1, [0], [1])),
    store("3 make or find a counter and count", StoreMakers(3)),
)
LONG = (
    store("2 trainers, 2 epochs of 1 batch, one killed", StoreTrainers(1, [0, 1], [0, 1]), 1),
    store("1 in epochs 0 and 1, 1 in epoch 2, one killed", StoreTrainers(1, [0, 1], [2]), 1),
    store("3 trainers in epochs 0, 1 and 2", StoreTrainers(1, [0], [1], [2])),
    store("2 make or find a counter and unlink it, one killed", StoreMakers(2, 2), 1),
    store("3 make or find a counter, one unlinks it", StoreMakers(3, 1)),
)
MUTANTS = (
    store(
        "a batch drawn by a read and a set",
        StoreTrainers(2, [0], [0]),
        0,
        _putting(Store, "call", _torn_add),
    ),
    store(
        "an epoch that was passed over and is not closed",
        StoreTrainers(1, [1], [2]),
        0,
        _putting(StoreTickets, "begin", _begin_without_closing),
    ),
    store(
        "an epoch left without being closed",
        StoreTrainers(1, [0], [1]),
        0,
        _putting(StoreTickets, "_close", lambda self, _: self.batches),
    ),
    store(
        "records of the epoch before deleted",
        StoreTrainers(1, [0], [1]),
        0,
        _putting(StoreTickets, "_forget", _forget_too_much),
    ),
    store(
        "an initial value set by who has not seen one",
        StoreMakers(2),
        0,
        _putting(Counter, "__init__", _init_by_set),
    ),
)


def run(folder: Path, seconds: float) -> Sequence[Result]:
    """Explore all; how long it takes is given."""
    return [result_of(case) for case in (*QUICK, *LONG, *MUTANTS)]


PART = Part(
    "store",
    "Objects in a store of torch.distributed, under every interleaving",
    "The code of `distributed.SharedBatchSampler` and `distributed.Counter`, over a store that "
    "answers in any order, explored as the protocols above. Afterwards each batch that was drawn "
    "was trained on exactly once or is listed by `unfinished()`, no epoch was drawn of after a "
    "later one, and each counter had one initial value and gave each ticket once.",
    run,
)
