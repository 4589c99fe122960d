"""A compiled training step, ours and what it is measured against: see compile.py's docstring."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from itertools import cycle

import torch
from _contest import Case, Contender, Goal, at_most, of
from _timing import Way
from torch import Tensor
from torch.nn.functional import cross_entropy, linear

import caffe2op_atomics as atomics

RATE = 2**-7  # its multiples are added up without rounding
CLASSES = 10

Loss = Callable[[Tensor, Tensor], Tensor]


def cases() -> Iterator[Case]:
    """Give all cases, each made when its turn comes."""
    for hidden, batch in ((256, 64), (1024, 256)):
        for processes in (1, 2):
            yield training(784, hidden, batch, processes, at_most(1.05))
    yield training(64, 32, 16, 1)
    yield known_gradient(2)


class Shared:
    """What processes train together: the weights and a number of steps, for each way to do it."""

    def __init__(self, inputs: int, hidden: int, loss: Loss) -> None:
        draws = torch.Generator().manual_seed(0)
        first = torch.randn(hidden, inputs, generator=draws) / inputs**0.5
        second = torch.randn(CLASSES, hidden, generator=draws) / hidden**0.5
        start = first, torch.zeros(hidden), second, torch.zeros(CLASSES)
        self.guarded = [atomics.GuardedTensor(weight) for weight in start]
        self.weights = tuple(guarded.tensor for guarded in self.guarded)
        self.bank = torch.ops.atomics.create_mutex.default(64)  # for the op on tensors
        self.loss = loss
        self._count_from_zero()

    def _count_from_zero(self) -> None:
        self.counter = atomics.Counter()
        self.steps = torch.zeros((), dtype=torch.int64).share_memory_()

    def counted_apart(self) -> Shared:
        """Return the same weights with another count."""
        same = copy.copy(self)
        same._count_from_zero()
        return same

    def gradients(self, images: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        """Return them in the order of the weights."""

        def loss(weights: tuple[Tensor, ...]) -> Tensor:
            first, first_bias, second, second_bias = weights
            hidden = linear(images, first, first_bias).relu()
            return self.loss(linear(hidden, second, second_bias), labels)

        return torch.func.grad(loss)(self.weights)


def exact(shared: Shared, images: Tensor, labels: Tensor) -> None:
    """Step by two ops on handles, which a graph holds."""
    atomics.foreach_add_(shared.guarded, shared.gradients(images, labels), alpha=-RATE)
    shared.counter.next()


def one_by_one(shared: Shared, images: Tensor, labels: Tensor) -> None:
    """Step by an op for each weight."""
    gradients = shared.gradients(images, labels)
    for guarded, gradient in zip(shared.guarded, gradients, strict=True):
        guarded.add_(gradient, alpha=-RATE)
    shared.counter.next()


def racy(shared: Shared, images: Tensor, labels: Tensor) -> None:
    """Step by torch's own ops.

    Not by ``add_(gradient, alpha=-RATE)``: of adding a matrix product, inductor 2.13 and 2.14 make
    an ``addmm``, and forget alpha.
    """
    gradients = shared.gradients(images, labels)
    for weight, gradient in zip(shared.weights, gradients, strict=True):
        weight.sub_(gradient, alpha=RATE)
    shared.steps.add_(1)


def breaking(shared: Shared, images: Tensor, labels: Tensor) -> None:
    """Step by our ops on tensors, each of which breaks the graph."""
    gradients = shared.gradients(images, labels)
    for first, (weight, gradient) in enumerate(zip(shared.weights, gradients, strict=True)):
        torch.ops.atomics.guarded_add_.default(shared.bank, weight, gradient, -RATE, first)
    torch.ops.atomics.add_.int(shared.steps, 1)


def training(
    inputs: int, hidden: int, batch: int, processes: int, goal: Goal | None = None
) -> Case:
    """Train a perceptron with one hidden layer, and count the steps."""

    def lost(shared: Shared, calls: int) -> float:
        return 1 - (shared.counter.value + int(shared.steps)) / calls

    what = f"{inputs} to {hidden} to {CLASSES}, {batch} samples, {of(processes, 'process')}"
    images = torch.randn(8, batch, inputs)
    # Where memory happens to lie is worth some percent: all ways have the same.
    make = Shared(inputs, hidden, cross_entropy).counted_apart
    return _case(what, images, make, lost, processes, goal)


def known_gradient(processes: int) -> Case:
    """Do the same where a step takes RATE from the last bias, whatever the other weights are."""

    def lost(shared: Shared, calls: int) -> float:
        return 1 - shared.weights[-1].sum().item() / CLASSES / -RATE / calls

    what = f"a known gradient, {of(processes, 'process')}"

    def make() -> Shared:
        return Shared(64, 32, _mean_of_output)

    return _case(what, torch.zeros(8, 16, 64), make, lost, processes)


def _mean_of_output(output: Tensor, labels: Tensor) -> Tensor:
    return output.mean(dim=0).sum()


def _case(
    what: str,
    images: Tensor,
    make: Callable[[], Shared],
    lost: Callable[[Shared, int], float],
    processes: int,
    goal: Goal | None = None,
) -> Case:
    torch._dynamo.reset()  # of the case before, whose sizes it would take for variables
    batches = list(zip(images, torch.randint(CLASSES, images.shape[:2]), strict=True))

    def contender(name: str, step: Callable[..., None], goal: Goal | None = None) -> Contender:
        shared = make()

        def names(rank: int) -> dict[str, object]:
            return {"step": step, "shared": shared, "batch": cycle(batches[rank::2])}

        way = Way("step(shared, *next(batch))", names)
        return Contender(name, way, goal, lambda calls: lost(shared, calls))

    return Case(
        what,
        contender("one graph, exact", torch.compile(exact, fullgraph=True)),
        [
            contender("one graph, racy", torch.compile(racy, fullgraph=True), goal or at_most()),
            contender(
                "one graph, weight by weight", torch.compile(one_by_one, fullgraph=True), at_most()
            ),
            contender("graph breaks, exact", torch.compile(breaking), at_most()),
            contender("eager, exact", exact, at_most()),
        ],
        workers=processes,
        processes=processes > 1,
    )
