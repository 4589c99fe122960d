"""What the shapes of graphs are functions of: cells, each with one way to use it.

Each lies between neighbours that nothing may touch, and most have a second cell beside them.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from caffe2op_atomics import AtomicBool, Counter, GuardedTensor, foreach_add_, ops

atomics = torch.ops.atomics

# Made outside of graphs, which are then as small as what they are about.
NUMBERS = {n: torch.full((4,), n) for n in range(-3, 13)}


def tensor(n: Tensor | int) -> Tensor:
    if isinstance(n, Tensor):
        return n
    return NUMBERS[n] if n in NUMBERS else torch.full((4,), n)


# Where in the memory they are.
FIRST, SECOND = slice(2, 6), slice(8, 12)


class Cell:
    """Base of those. ``use(target)`` takes four elements."""

    whole: ClassVar[bool] = True  # what it does is part of one graph
    told_in_eager: ClassVar[bool] = True  # and outside of one it is an op, not a call of _fast
    has_second: ClassVar[bool] = True
    second: Cell

    def __init__(self, memory: Tensor | None = None) -> None:
        if memory is None:
            self.memory = torch.arange(16).share_memory_()
            self.use(self.memory[FIRST])
            if self.has_second:
                self.second = type(self)(self.memory)
        else:
            self.memory = memory
            self.use(memory[SECOND])

    def use(self, target: Tensor) -> None:
        raise NotImplementedError


class Plain(Cell):
    """By ops on the tensor, which break the graph, and torch's own reads."""

    whole = False

    def use(self, target: Tensor) -> None:
        self.tensor, self.alias = target, target[1:]

    def add(self, n: Tensor | int) -> None:
        atomics.add_(self.tensor, tensor(n))

    def fetch(self, n: Tensor | int) -> Tensor:
        return atomics.fetch_add(self.tensor, tensor(n))

    def read(self) -> Tensor:
        return self.tensor

    def store(self, n: Tensor | int) -> None:
        atomics.store_(self.tensor, tensor(n))


class Handle(Cell):
    """By ops on the handle of a tensor."""

    def use(self, target: Tensor) -> None:
        self.handle = ops.handle(target)

    def add(self, n: Tensor | int) -> None:
        ops.handle_add_(self.handle, tensor(n))

    def fetch(self, n: Tensor | int) -> Tensor:
        return ops.handle_fetch_add(self.handle, tensor(n))

    def read(self) -> Tensor:
        return ops.handle_load(self.handle, [4], torch.int64)

    def store(self, n: Tensor | int) -> None:
        ops.handle_store_(self.handle, tensor(n))


class OfCounter(Cell):
    told_in_eager = False

    def use(self, target: Tensor) -> None:
        self.counter = Counter(tensor=target[:1])

    def add(self, n: int) -> None:
        self.counter += n

    def fetch(self, n: int) -> int:
        return self.counter.fetch_add(n)

    def read(self) -> int:
        return self.counter.value


class OfFlag(Cell):
    told_in_eager = False

    def use(self, target: Tensor) -> None:
        self.flag = AtomicBool(tensor=target.view(torch.int32)[:1])

    def store(self, n: int) -> None:
        if n:
            self.flag.set()
        else:
            self.flag.clear()

    def read(self) -> bool:
        return self.flag.is_set()


class OfGuarded(Cell):
    has_second = False  # one storage is guarded once

    def use(self, target: Tensor) -> None:
        self.guarded = GuardedTensor(target)

    def add(self, n: Tensor | int) -> None:
        self.guarded.add_(n)


class OfSeveral(OfGuarded):
    """By a call that takes any number of them."""

    def add(self, n: Tensor | int) -> None:
        foreach_add_([self.guarded], [tensor(n)])
