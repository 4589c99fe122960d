"""Random histories of real threads on one cell, and whether an order of its calls explains them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import meaning
import torch
from linearizability import Call, linearization
from support import TIMEOUT

PROGRAM = Path(__file__).parent / "histories.cpp"

History = tuple[torch.dtype, bytes, list[Call]]


def build(folder: Path) -> Path:
    path = folder / "histories"
    subprocess.run(["c++", "-std=c++20", "-O2", "-pthread", PROGRAM, "-o", path], check=True)
    return path


def histories(program: Path, *arguments: Any) -> Iterator[History]:
    result = subprocess.run(
        [program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=10 * TIMEOUT,  # of a thousand, on a machine with other work
        check=True,
    )
    return map(parse, result.stdout.splitlines())


def explained(dtype: torch.dtype, initial: bytes, calls: list[Call]) -> bool:
    return linearization(calls, initial, partial(step, dtype)) is not None


def step(dtype: torch.dtype, state: bytes, call: Call) -> bytes | None:
    after, flag = meaning.apply(meaning.stem(call.name), dtype, state, *call.operands)
    if call.old not in (None, state) or call.flag not in (None, flag):
        return None
    return after


def parse(line: str) -> History:
    name, initial, final, *fields = line.split()
    dtype = getattr(torch, name)

    def element(field: str) -> bytes:
        return int(field).to_bytes(dtype.itemsize, "little")

    calls = [
        Call(
            int(start),
            int(end),
            op,
            tuple(element(operand) for operand in operands if operand != "-"),
            None if old == "-" else element(old),
            None if flag == "-" else flag == "1",
        )
        for start, end, op, *operands, old, flag in zip(*[iter(fields)] * 7, strict=True)
    ]
    after = max(call.end for call in calls) + 1
    calls.append(Call(after, after, "load", (), element(final)))
    return dtype, element(initial), calls
