"""Processes that use objects in a store, for the explorer: their code, over a store in a dict."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import groupby
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from _interleave import Actor, access, pid
from torch.distributed import HashStore

from caffe2op_atomics import _draws
from caffe2op_atomics.distributed import Counter, SharedBatchSampler, _object, _tickets
from caffe2op_atomics.distributed._link import Link


class Store(Link):
    """What the stores of torch do, each call one access; tests compare them with each other."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.draws: list[str] = []  # the keys of the tickets that were drawn, in order

    def call(self, method: str, *args: Any) -> Any:
        return access(lambda: getattr(self, method)(*args))

    def add(self, key: str, n: int) -> int:
        value = int(self.values.get(key) or 0) + n
        self.values[key] = str(value)
        if "/drawn." in key:
            self.draws.append(f"{key.rpartition('.')[2]} {value}")
        return value

    def compare_set(self, key: str, expected: str, desired: str) -> bytes:
        if self.values.get(key, "") == expected:
            self.values[key] = desired
        return self.values.get(key, expected).encode()

    def delete_key(self, key: str) -> bool:
        return self.values.pop(key, None) is not None


@contextmanager
def stopping() -> Iterator[None]:
    """Have objects use the store of the scene."""
    with ExitStack() as stack:
        for module, name, value in (
            (_draws, "_good_exit", SimpleNamespace(add=lambda _: None, remove=lambda _: None)),
            (_tickets, "os", SimpleNamespace(getpid=pid)),
            (_object, "secrets", SimpleNamespace(token_hex=lambda _: f"by{pid()}")),
            (_object, "link_to", lambda *_: _scene.store),
        ):
            stack.enter_context(patch.object(module, name, value))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # who comes late gets no batch
        yield


class _Shared:
    """A store and those who use it."""

    def __call__(self) -> Any:
        """Begin again."""
        global _scene
        _scene = self
        self.store = Store()
        self.actors = self._make_actors()
        return self

    def _make_actors(self) -> list[Actor]:
        raise NotImplementedError

    def shared(self) -> object:
        return self.store.values, self.store.draws

    def bury(self, dead: int) -> None:
        """Nobody is told."""

    def close(self) -> None:
        """Leave the dict."""


_scene: _Shared


class StoreTrainers(_Shared):
    """Trainers that train on all they can draw of the epochs that each of them says."""

    def __init__(self, batches: int, *epochs: Sequence[int]) -> None:
        self._batches, self._epochs = batches, epochs

    def _make_actors(self) -> list[Actor]:
        self._trained: list[list[tuple[int, int]]] = [[] for _ in self._epochs]
        self._sampler = self._make()
        return [
            Actor(number + 1, partial(self._train, number, self._make()))
            for number in range(len(self._epochs))
        ]

    def _make(self) -> SharedBatchSampler:
        return SharedBatchSampler(self._batches, 1, shuffle=False, name="s", store=HashStore())

    def _train(self, number: int, sampler: SharedBatchSampler) -> None:
        for epoch in self._epochs[number]:
            sampler._trainer.epoch = epoch  # as if set_epoch was called before anybody drew
            for (batch,) in sampler:
                access(partial(self._trained[number].append, (epoch, batch)))

    def wrong(self) -> str | None:
        """Compare what was trained on with what was drawn, and is listed as unfinished."""
        asked = [tuple(map(int, each.split())) for each in self.store.draws]
        drawn = [(epoch, count - 1) for epoch, count in asked if count <= self._batches]
        order = [epoch for epoch, _ in groupby(drawn, lambda each: each[0])]
        if order != sorted(order):
            return f"drew of epochs in the order {order}"
        trained = sorted(each for of_one in self._trained for each in of_one)
        if len(set(trained)) < len(trained) or not set(trained) <= set(drawn):
            return f"trained on {trained}, drew {drawn}"
        current, position = self._sampler._tickets.now()
        if not any(each.dead for each in self.actors):
            if trained != sorted(drawn):
                return f"trained on {trained}, drew {drawn}"
            if position != self._batches:
                return f"stopped at batch {position} of epoch {current}"
        for epoch in range(max(current - 1, 0), current + 1):
            lost = {batch for of, batch in drawn if of == epoch and (of, batch) not in trained}
            # A trainer that was killed when it had done a batch, and not come back to say so.
            dead = [self._trained[k] for k, actor in enumerate(self.actors) if actor.dead]
            may = {each[-1][1] for each in dead if epoch in dict(each[-1:])}
            listed = {index for (index,) in self._sampler.unfinished(epoch)}
            if not lost <= listed <= lost | may:
                return f"lost {lost} of epoch {epoch}, and listed {listed}"
        return None


class StoreMakers(_Shared):
    """Processes that make or find a counter, each with an initial value of its own, and count."""

    def __init__(self, processes: int, unlinks: int = 0) -> None:
        self._processes, self._unlinks = processes, unlinks

    def _make_actors(self) -> list[Actor]:
        self._tickets: list[tuple[str, int]] = []
        return [Actor(10 * k, partial(self._count, k)) for k in range(1, self._processes + 1)]

    def _count(self, number: int) -> None:
        counter = Counter("c", pid(), store=HashStore())
        self._tickets.append((counter._key, counter.next()))
        if number <= self._unlinks:
            counter.unlink()

    def wrong(self) -> str | None:
        """Look whether each object had one initial value and gave each ticket once."""
        for key in {key for key, _ in self._tickets}:
            tickets = sorted(ticket for of, ticket in self._tickets if of == key)
            first = tickets[0] // 10 * 10
            drawn = range(first, int(self.store.values[key]))
            if not set(tickets) <= set(drawn) or len(set(tickets)) < len(tickets):
                return f"{key} gave the tickets {tickets}, and ends at {self.store.values[key]}"
            if len(drawn) > self._processes:
                return f"{key} had several initial values: {tickets}"
        return None
