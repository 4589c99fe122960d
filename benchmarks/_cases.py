"""What is measured against what, and what is aimed at: the table in lockfree.py's docstring."""

from __future__ import annotations

import importlib
import multiprocessing
from collections.abc import Callable, Iterator
from itertools import cycle

import torch
from _contest import Case, Contender, Goal, at_most, faster, of
from _per_element import Loops
from _timing import Way
from torch import Tensor

import caffe2op_atomics as atomics

_ops = torch.ops.atomics


def cases(loops: Loops) -> Iterator[Case]:
    """Give all cases, each made when its turn comes."""
    small, large = 2**16, 2**24
    yield dense(torch.float32, loops.add_float32, small, 1, faster(3))
    yield dense(torch.float32, loops.add_float32, small, 2, faster())
    for threads in (1, 2):
        yield dense(torch.float32, loops.add_float32, large, threads, faster(2.5))
    vectors = 3 if torch.backends.cpu.get_cpu_capability() == "DEFAULT" else 4  # SSE2, or AVX2
    yield dense(torch.bfloat16, loops.add_bfloat16, small, 1, faster(5))
    yield dense(torch.bfloat16, loops.add_bfloat16, large, 1, faster(vectors))
    yield fetching(loops, small)
    yield from calls()
    yield counting()
    for name, exponent in (("uniform", 0.0), ("Zipf 1.05", 1.05), ("Zipf 1.2", 1.2)):
        yield rows(name, exponent)
    for batch in (256, 4096):
        for processes in (1, 2, 4):
            yield table(batch, processes)


def dense(
    dtype: torch.dtype,
    loop: Callable[[int, int, int, float], None],
    size: int,
    threads: int,
    goal: Goal,
) -> Case:
    """Threads add tensors of their own to one target, in step."""
    target = torch.zeros(size, dtype=dtype)
    others = [torch.full((size,), rank + 1, dtype=dtype) for rank in range(threads)]

    def tensors(rank: int) -> dict[str, object]:
        return {"add_": _ops.add_.default, "target": target, "other": others[rank]}

    def pointers(rank: int) -> dict[str, object]:
        addresses = {"target": target.data_ptr(), "other": others[rank].data_ptr()}
        return {**addresses, "loop": loop, "n": size}

    return Case(
        f"add_ {str(dtype).removeprefix('torch.')}, {_power(size)}, {of(threads, 'thread')}",
        Contender("atomics", Way("add_(target, other)", tensors)),
        [
            Contender("per element", Way("loop(target, other, n, 1.0)", pointers), goal),
            Contender("torch, racy", Way("target.add_(other)", tensors), at_most()),
        ],
        elements=size,
        workers=threads,
    )


def fetching(loops: Loops, size: int) -> Case:
    """Add int32 and fetch what was there before."""
    target, other, old = torch.zeros(3, size, dtype=torch.int32)
    addresses = {"target": target.data_ptr(), "other": other.data_ptr(), "old": old.data_ptr()}
    names = {"fetch_add": _ops.fetch_add.default, "target": target, "other": other}
    pointers = {**addresses, "loop": loops.fetch_add_int32, "n": size}
    kept = old  # alive as long as its address is in use
    return Case(
        f"fetch_add int32, {_power(size)}",
        Contender("atomics", Way("fetch_add(target, other)", lambda _: names)),
        [
            Contender(
                "per element",
                Way("loop(target, other, old, n)", lambda _: {**pointers, "kept": kept}),
                faster(3),
            )
        ],
        elements=size,
    )


def calls() -> Iterator[Case]:
    """Give the cases that are about the cost of a call, on one element."""
    newer = tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 14)
    one = torch.tensor(1.0)
    add = Contender(
        "torch.ops.aten.add",
        Way("add(x, one)", lambda _: {"add": torch.ops.aten.add.Tensor, "x": one, "one": one}),
        at_most(),
    )
    yield call("default", torch.zeros(()), one, one, at_most(2.0 if newer else 1.6), add)
    one = torch.tensor(1)
    yield call("int", torch.zeros_like(one), 1, one, at_most(1.5 if newer else 1.25))


def call(
    overload: str, x: Tensor, value: Tensor | int, one: Tensor, goal: Goal, *others: Contender
) -> Case:
    """Add one to one element, with the op object held."""
    fetch_add = getattr(_ops.fetch_add, overload)
    names = {"fetch_add": fetch_add, "x": x, "value": value, "one": one}
    return Case(
        f"fetch_add.{overload}, 0-dim",
        Contender("atomics", Way("fetch_add(x, value)", lambda _: names)),
        [Contender("x.add_(one)", Way("x.add_(one)", lambda _: names), goal), *others],
    )


def counting() -> Case:
    """Count by one."""
    names = {"counter": atomics.Counter()}
    value = {"v": multiprocessing.Value("q")}
    return Case(
        "Counter.next()",
        Contender("atomics", Way("counter.next()", lambda _: names)),
        [
            Contender(
                "mp.Value, locked",
                Way("with v.get_lock(): v.value += 1", lambda _: value),
                faster(10),
            ),
            Contender(
                "cereggii, unshared",
                _foreign("cereggii", "AtomicInt64", "counter.increment_and_get()"),
                faster(1),
            ),
            Contender(
                "atomicx, unshared",
                _foreign("atomicx", "AtomicInt", "counter.add(1)"),
                faster(1),
            ),
        ],
    )


def _foreign(module: str, counter: str, code: str) -> Way | None:
    try:
        names = {"counter": getattr(importlib.import_module(module), counter)(0)}
    except ImportError:
        return None
    return Way(code, lambda _: names)


def rows(name: str, exponent: float) -> Case:
    """Add rows, as to an embedding table."""
    count, batch, width = 100_000, 4096, 64
    target, source = torch.zeros(count, width), torch.ones(batch, width)
    batches = draws(count, batch, exponent)

    def names(_: int) -> dict[str, object]:
        tensors = {"target": target, "source": source, "index": cycle(batches)}
        return {"index_add_": _ops.index_add_.default, **tensors}

    ours = Way("index_add_(target, 0, next(index), source)", names)
    racy = Way("target.index_add_(0, next(index), source)", names)
    put = Way("target.index_put_((next(index),), source, accumulate=True)", names)
    return Case(
        f"index_add_ {batch} rows of {width}, {name}",
        Contender("atomics", ours),
        [
            Contender("torch, racy", racy, at_most(1.8)),
            Contender("index_put_ accumulate", put, at_most(1)),
        ],
        elements=batch * width,
    )


def table(batch: int, processes: int) -> Case:
    """Count words in a table that processes share."""
    count = 24_000
    batches, source = draws(count, batch, 1.05), torch.ones(batch, dtype=torch.int64)
    lock = multiprocessing.get_context("fork").Lock()

    def contender(name: str, code: str, goal: Goal | None = None) -> Contender:
        target = torch.zeros(count, dtype=torch.int64).share_memory_()

        def names(rank: int) -> dict[str, object]:
            tensors = {"target": target, "source": source, "index": cycle(batches[rank::4])}
            return {"index_add_": _ops.index_add_.default, "lock": lock, **tensors}

        def lost(calls: int) -> float:
            return 1 - int(target.sum()) / (calls * batch)

        return Contender(name, Way(code, names), goal, lost)

    racy = "target.index_add_(0, next(index), source)"
    return Case(
        f"index_add_ {batch} int64, Zipf, {of(processes, 'process')}",
        contender("atomics", "index_add_(target, 0, next(index), source)"),
        [
            contender("torch, racy", racy, at_most(1 if (batch, processes) == (4096, 2) else None)),
            contender("torch + mp.Lock", f"with lock: {racy}", at_most()),
        ],
        elements=batch,
        workers=processes,
        processes=True,
    )


def draws(count: int, batch: int, exponent: float) -> list[Tensor]:
    """Draw batches of rows: rank r with a probability like r ** -exponent, ranks shuffled.

    Several of them, so that neither caches nor branch predictors learn one by heart.
    """
    generator = torch.Generator().manual_seed(0)
    weights = torch.arange(1, count + 1, dtype=torch.float64) ** -exponent
    shuffled = torch.randperm(count, generator=generator)
    ranks = torch.multinomial(weights, 32 * batch, replacement=True, generator=generator)
    return list(shuffled[ranks].reshape(32, batch))


def _power(size: int) -> str:
    return f"{size >> 20} M" if size >= 2**20 else f"{size >> 10} K"
