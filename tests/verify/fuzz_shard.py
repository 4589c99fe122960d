"""Calls ops with random arguments, in a process of its own, for a crash ends it.

    python fuzz_shard.py SEED STEP SECONDS LAST

Seeds SEED, SEED + STEP, ... are a round each, of one op, and give a line each. The call that is
made is in the file LAST. With 0 seconds, SEED is the only round.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import hypothesis
import torch
from fuzz_arguments import calls, is_bank, tensors_of
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from op_table import ALL, Op
from torch import Tensor
from torch.utils._pytree import tree_leaves

import caffe2op_atomics  # noqa: F401  (registers the ops)

EXAMPLES = 50  # in a round: a thread can hold a thousand mutexes, and each call may leave some held
TIMEOUT = 120  # of a round, in seconds
SLOT, MAGIC = 128, b"ATMX"
# In a slot: what the lock of a refused op leaves behind, which are the count of acquisitions and a
# field of glibc's; the lock word.
LEFT_BEHIND, LOCK_WORD = (slice(14, 16), slice(68, 72)), slice(64, 68)
TAKES_A_LOCK = ("mutex_lock", "mutex_try_lock")


def memory_of(tensor: Tensor) -> bytearray:
    """The bytes of its storage."""
    if tensor.device.type != "cpu" or tensor.layout != torch.strided or tensor.is_nested:
        return bytearray()
    storage = tensor.untyped_storage()
    return bytearray(ctypes.string_at(storage.data_ptr(), storage.nbytes()))


def what_counts(memory: bytearray) -> bytes:
    """Without what every lock changes in a mutex, wherever there is one."""
    for at in range(0, len(memory), SLOT):
        if memory[at:].startswith(MAGIC):
            for field in LEFT_BEHIND:
                memory[at + field.start : at + field.stop] = bytes(field.stop - field.start)
    return bytes(memory)


def lock_words(memory: bytearray) -> list[int]:
    return [
        int.from_bytes(memory[at + LOCK_WORD.start : at + LOCK_WORD.stop], "little") & 0x3FFFFFFF
        for at in range(0, len(memory), SLOT)
    ]


def written(op: Op, args: tuple[Any, ...]) -> set[int]:
    """Where the storages are that the op may change."""
    given_to = zip(op.overload._schema.arguments, args, strict=False)
    marked = tuple(arg for argument, arg in given_to if argument.alias_info is not None)
    return {each.untyped_storage().data_ptr() for each in tensors_of(marked) if memory_of(each)}


def shown(argument: Any) -> str:
    if isinstance(argument, Tensor):
        if argument.layout != torch.strided or argument.is_nested:
            return f"{argument.layout} {argument.dtype}"
        place = f"{list(argument.stride())} + {argument.storage_offset()}"
        return f"{argument.dtype} {list(argument.shape)} {place} {argument.device}"
    return f"[{', '.join(map(shown, argument))}]" if isinstance(argument, list) else repr(argument)


def check(op: Op, args: tuple[Any, ...], keywords: dict[str, Any]) -> bool:
    """Call the op; return whether it was refused."""
    tensors = tensors_of(args)
    before = [memory_of(each) for each in tensors]
    try:
        results = op.overload(*args, **keywords)
        refused = False
    except Exception:
        refused, results = True, ()
    after = [memory_of(each) for each in tensors]
    may_change = set() if refused else written(op, args)
    for tensor, old, new in zip(tensors, before, after, strict=True):
        if not old or tensor.untyped_storage().data_ptr() not in may_change:
            same = what_counts(old) == what_counts(new)
            assert same, f"{'refused' if refused else 'read'}, and it was changed: {shown(tensor)}"
        elif is_bank(tensor) and op.name not in TAKES_A_LOCK:
            mine = threading.get_native_id()
            left = [n for n, o in zip(lock_words(new), lock_words(old), strict=True) if n != o]
            assert mine not in left, "a mutex was left held"
    for result in tree_leaves(results):
        if isinstance(result, Tensor) and result.device.type == "cpu":
            result.clone()
    return refused


def release(tensors: list[Tensor]) -> None:
    for bank in filter(is_bank, tensors):
        for i in range(len(bank)):
            try:
                torch.ops.atomics.mutex_unlock(bank, i)
            except RuntimeError:
                continue


def run_round(op: Op, seed: int, last: int) -> dict[str, Any]:
    counts = {"op": op.name, "seed": seed, "calls": 0, "refused": 0}

    @hypothesis.seed(seed)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def call(data: Any) -> None:
        args, keywords = data.draw(calls(op))
        line = f"seed {seed}: {op.name}({', '.join(map(shown, args))}, {keywords})\n".encode()
        os.ftruncate(last, os.pwrite(last, line, 0))
        try:
            counts["refused"] += check(op, args, keywords)
        finally:
            release(tensors_of(args))
        counts["calls"] += 1

    call()
    return counts


def main(ops: list[Op] = ALL) -> None:
    seed, step = map(int, sys.argv[1:3])
    end = time.monotonic() + float(sys.argv[3])
    last = os.open(Path(sys.argv[4]), os.O_CREAT | os.O_WRONLY, 0o600)
    failed = threading.Event()

    def work() -> None:
        try:
            print(json.dumps(run_round(ops[seed % len(ops)], seed, last)), flush=True)
        except BaseException:
            failed.set()
            raise

    while not failed.is_set():
        faulthandler.dump_traceback_later(TIMEOUT, exit=True)
        thread = threading.Thread(target=work)  # ends with the mutexes that it holds
        thread.start()
        thread.join()
        seed += step
        if time.monotonic() >= end:
            break
    sys.exit(failed.is_set())


if __name__ == "__main__":
    main()
