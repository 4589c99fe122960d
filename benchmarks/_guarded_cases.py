"""What the guarded ops are measured against, and what is aimed at: see guarded.py's docstring."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from itertools import cycle

import torch
from _contest import Case, Contender, Goal, faster, of
from _timing import Way
from torch import Tensor, nn

import caffe2op_atomics as atomics

WORDS = 24_000


def cases() -> Iterator[Case]:
    """Give all cases, each made when its turn comes."""
    yield dense(2**24, 1, faster(0.95))
    yield dense(2**24, 2, faster(0.95))
    for batch in (256, 4096):
        for processes in (1, 2, 4):
            yield words(batch, processes)
    for name, exponent in (("uniform", 0.0), ("Zipf 1.05", 1.05)):
        yield rows(name, exponent)
    yield adam("guarded_adam_, 16 M float32", [2**24], faster(1))
    yield adam("optim.Adam.step, 60 small tensors", [64, 4096] * 30, faster(0.9))


def dense(size: int, processes: int, goal: Goal | None = None, shown: str = "") -> Case:
    """Processes add tensors of their own to one that they share."""
    others = [torch.ones(size) for _ in range(processes)]

    def contender(name: str, code: str, goal: Goal | None = None) -> Contender:
        guarded = atomics.GuardedTensor([size])

        def names(rank: int) -> dict[str, object]:
            return {"guarded": guarded, "target": guarded.tensor, "other": others[rank]}

        def lost(calls: int) -> float:
            return 1 - guarded.tensor.sum(dtype=torch.float64).item() / (calls * size)

        return Contender(name, Way(code, names), goal, lost)

    return Case(
        f"guarded_add_ float32, {shown or f'{size >> 20} M'}, {of(processes, 'process')}",
        contender("atomics", "guarded.add_(other)"),
        [contender("torch, racy", "target.add_(other)", goal or faster())],
        elements=size,
        workers=processes,
        processes=processes > 1,
    )


def words(batch: int, processes: int) -> Case:
    """Count words in a table that processes share, the most frequent word first."""
    batches, source = draws(WORDS, batch, 1.05), torch.ones(batch, dtype=torch.int64)
    lock = multiprocessing.get_context("fork").Lock()
    aimed = (batch, processes) == (4096, 2)

    def contender(name: str, code: str, goal: Goal | None = None) -> Contender:
        guarded = atomics.GuardedTensor([WORDS], dtype=torch.int64)

        def names(rank: int) -> dict[str, object]:
            tensors = {"guarded": guarded, "target": guarded.tensor, "source": source}
            return {**tensors, "index": cycle(batches[rank::4]), "lock": lock}

        def lost(calls: int) -> float:
            return 1 - int(guarded.tensor.sum()) / (calls * batch)

        return Contender(name, Way(code, names), goal, lost)

    racy = "target.index_add_(0, next(index), source)"
    return Case(
        f"words, batches of {batch}, {of(processes, 'process')}",
        contender("atomics", "guarded.index_add_(0, next(index), source)"),
        [
            contender("torch, racy", racy, faster(2 if aimed else None)),
            contender("torch + mp.Lock", f"with lock: {racy}", faster(0.9 if aimed else None)),
        ],
        elements=batch,
        workers=processes,
        processes=True,
    )


def rows(name: str, exponent: float) -> Case:
    """Add rows, as to an embedding table."""
    count, batch, width = 100_000, 4096, 64
    guarded, source = atomics.GuardedTensor([count, width]), torch.ones(batch, width)
    target = torch.zeros(count, width)
    shuffled = torch.randperm(count, generator=torch.Generator().manual_seed(1))
    batches = [shuffled[ranks] for ranks in draws(count, batch, exponent)]

    def names(_: int) -> dict[str, object]:
        tensors = {"guarded": guarded, "target": target, "source": source}
        return {**tensors, "index": cycle(batches)}

    racy = Way("target.index_add_(0, next(index), source)", names)
    put = Way("target.index_put_((next(index),), source, accumulate=True)", names)
    return Case(
        f"guarded_index_add_ {batch} rows of {width}, {name}",
        Contender("atomics", Way("guarded.index_add_(0, next(index), source)", names)),
        [
            Contender("torch, racy", racy, faster(1)),
            Contender("index_put_ accumulate", put, faster(2)),
        ],
        elements=batch * width,
    )


def adam(what: str, sizes: list[int], goal: Goal) -> Case:
    """Step parameters of these sizes."""

    def params() -> list[nn.Parameter]:
        made = [nn.Parameter(torch.zeros(size).share_memory_()) for size in sizes]
        for param in made:
            param.grad = torch.ones_like(param)
        return made

    ours = {"optimizer": atomics.optim.Adam(params())}
    theirs = {"optimizer": torch.optim.Adam(params(), fused=True)}
    return Case(
        what,
        Contender("atomics", Way("optimizer.step()", lambda _: ours)),
        [Contender("torch.optim.Adam, fused", Way("optimizer.step()", lambda _: theirs), goal)],
        elements=sum(sizes),
    )


def draws(count: int, batch: int, exponent: float) -> list[Tensor]:
    """Draw batches of ranks, rank r with a probability like r ** -exponent."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.arange(1, count + 1, dtype=torch.float64) ** -exponent
    ranks = torch.multinomial(weights, 32 * batch, replacement=True, generator=generator)
    return list(ranks.reshape(32, batch))
