"""Runs ops from several threads at once, for a sanitizer to look on; run by _sanitizers.py.

python drive.py all | racy | two_banks | read_past_the_end | read_misaligned | overflow
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import cases
import torch
from bad_arguments import misaligned
from cases import LENGTH, Case, ones
from op_table import CAFFE2, DTYPES, FUSED_DTYPES, MUTEX, Op
from support import run_threads
from torch import Tensor

import caffe2op_atomics as package

THREADS = 3
_ops = torch.ops.atomics
_called: dict[str, int] = {}
# Mutexes: ThreadSanitizer forgets what was done to memory that is unmapped, but not if it is less
# than a page, and takes who is given that address next for a racer.
_kept: list[Any] = []


@cache
def script(line: str, types: tuple[str, ...]) -> Callable[..., None]:
    """A loop that holds no GIL, whose hand-over would order the threads; ``@`` are arguments."""
    names = [f"a{k}" for k in range(len(types))]
    parameters = ", ".join(f"{n}: {t}" for n, t in zip(names, types, strict=True))
    # Of lists a copy: torch takes the tensors out of the one that a scripted call is given.
    given = ", ".join(f"{n}[:]" if "List" in t else n for n, t in zip(names, types, strict=True))
    source = f"""
def loop(n: int, {parameters}):
    for _ in range(n):
        {line.replace("@", given)}
"""
    return torch.jit.CompilationUnit(source).loop


def loop_of(op: Op, args: tuple[Any, ...]) -> Callable[..., None]:
    if op.name == "guarded_copy_":  # scripts drop an op that changes lists only
        return lambda n, *args: [op.overload(*args) for _ in range(n)]
    types = tuple(str(each.type) for each in op.overload._schema.arguments[: len(args)])
    packet, keywords = op.name.partition(".")[0], op.keywords.items()
    given = ["@" if types else "", *(f"{name}={value!r}" for name, value in keywords)]
    return script(f"torch.ops.atomics.{packet}({', '.join(filter(None, given))})", types)


def run_together(some: Sequence[Case]) -> None:
    """Each with itself, in two threads, and with the next one, in a third."""
    for case, following in zip(some, [*some[1:], some[0]], strict=True):
        of_thread = (case, case, following)
        loops = [loop_of(each.op, each.args) for each in of_thread]

        def work(rank: int, of: Any = of_thread, loops: Any = loops) -> None:
            loops[rank](of[rank].calls, *of[rank].args)

        run_threads(THREADS, work)
        for each in of_thread:
            _called[each.op.name] = _called.get(each.op.name, 0) + each.calls


def apart(_: int, op: Op) -> None:
    for _call in range(50):
        args = op.arguments(op.dtypes[0])
        _kept.append((args, op.overload(*args, **op.keywords)))
    _called[op.name] = _called.get(op.name, 0) + 50


def under_a_mutex(mutex: Tensor, target: Tensor) -> None:
    """What races by itself does not under a mutex."""
    lines = [
        "torch.ops.atomics.mutex_lock(a0)",
        "torch.ops.atomics_control.racy_add_(a1, a2)",
        "torch.ops.atomics.mutex_unlock(a0)",
        "torch.ops.atomics.mutex_owner(a0)",
        "torch.ops.atomics.mutex_recoveries(a0)",
    ]
    loop = script("\n        ".join(lines), ("Tensor",) * 3)
    other = torch.ones_like(target)
    run_threads(THREADS, lambda _: loop(300, mutex, target, other))
    assert target.eq(1 + THREADS * 300).all()


def wake_and_wait(_: int, target: Tensor) -> None:
    for _call in range(300):
        old = int(_ops.fetch_add(target, 1))
        _ops.notify(target)
        _ops.wait(target, old + 1, 0.0001)


def use_classes(_: int, guarded: package.GuardedTensor, *cells: Any) -> None:
    counter, flag, mutex = cells
    for _call in range(200):
        counter.next()
        counter.wait_until(1, timeout=0.001)
        flag.set()
        flag.wait(0.001)
        flag.clear()
        with mutex:
            guarded.add_(1)


def drive() -> None:
    bank = _ops.create_mutex(16)
    for dtype in DTYPES:
        for target in cases.dense_targets(dtype):
            run_together(cases.dense(target))
        for table in cases.tables(dtype):
            run_together(cases.indexed(table))
            run_together(cases.guarded(table, bank))
    for dtype in FUSED_DTYPES:
        run_together(cases.fused(dtype, bank))
    _kept.append(cases.caffe2())
    run_together(_kept[-1])
    for op in MUTEX + CAFFE2:
        run_threads(THREADS, apart, op)
    under_a_mutex(bank, ones((2000,), torch.int64))
    for dtype in (torch.int32, torch.int64):
        run_threads(THREADS, wake_and_wait, torch.zeros(1, dtype=dtype))
    cells = package.Counter(), package.AtomicBool(), package.Mutex()
    run_threads(THREADS, use_classes, package.GuardedTensor([LENGTH // 10]), *cells)


def racy() -> None:
    loop = script("torch.ops.atomics_control.racy_add_(@)", ("Tensor",) * 2)
    target, other = ones((LENGTH,), torch.int64), ones((LENGTH,), torch.int64)
    run_threads(THREADS, lambda _: loop(2, target, other))


def two_banks() -> None:
    """What guarded ops do races where they lock different banks."""
    target = ones((LENGTH,), torch.float32)
    banks = [_ops.create_mutex(16) for _ in range(THREADS)]
    loop = script("torch.ops.atomics.guarded_add_(@)", ("Tensor",) * 3)
    other = torch.ones_like(target)
    run_threads(THREADS, lambda rank: loop(2, banks[rank], target, other))


def main() -> None:
    torch.set_num_threads(1)  # OpenMP's barriers are not instrumented
    what = sys.argv[1]
    if what == "all":
        drive()
        print(f"{len(_called)} ops, {sum(_called.values()):,} calls")
    elif what in ("racy", "two_banks"):
        {"racy": racy, "two_banks": two_banks}[what]()
    else:
        target = ones((3,), torch.int64)
        target = misaligned(target) if what == "read_misaligned" else target
        getattr(torch.ops.atomics_control, what)(target)


if __name__ == "__main__":
    main()
