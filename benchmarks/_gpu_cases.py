"""The lock-free ops on a GPU, and what they are measured against: see gpu.py's docstring."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from _contest import Case, Contender, Goal, faster
from _timing import Way
from torch import Tensor

from caffe2op_atomics import ops

CALLS = 10  # between two waits
MANY = 2**28  # elements of a dense call
INDICES = 2**24
ROWS = 2**20
WIDTH = 64


def cases(device: str = "cuda", scale: int = 1) -> Iterator[Case]:
    """Give all cases, each made when its turn comes; smaller by ``scale``."""
    many, indices, rows = MANY // scale, INDICES // scale, max(ROWS // scale, 4)
    for dtype in (torch.float32, torch.bfloat16, torch.int64):
        yield _dense(device, many if dtype != torch.int64 else many // 2, dtype)
    for dtype in (torch.int32, torch.float32):
        yield _fetching(device, many // 2, dtype)
    for dtype in (torch.int64, torch.int32, torch.float32):
        for draw, goal in ((_uniform, faster(1)), (_zipf, faster(2))):
            yield _counting(device, draw(indices, rows, device), rows, dtype, goal)
    yield _rows(device, _zipf(indices // 16, rows, device), rows)
    yield _tickets(device, indices)


def _sync(device: str) -> Callable[[], None]:
    return torch.cuda.synchronize if device == "cuda" else lambda: None


def _way(device: str, call: Callable[[], object]) -> Way:
    """Calls and the wait for the end of all, so that none waits for Python."""
    names: dict[str, object] = {"call": call, "sync": _sync(device), "calls": range(CALLS)}
    return Way("for _ in calls: call()\nsync()", lambda _: names)


def _contender(device: str, name: str, call: Callable[[], object], goal: Goal | None) -> Contender:
    return Contender(name, _way(device, call), goal)


def _dense(device: str, n: int, dtype: torch.dtype) -> Case:
    target = torch.zeros(n, dtype=dtype, device=device)
    other = torch.ones(n, dtype=dtype, device=device)
    goal = faster(0.9) if dtype.is_floating_point else faster()
    return Case(
        f"add_ {_name(dtype)}, {_size(n)}",
        _contender(device, "add_", lambda: ops.add_(target, other), None),
        [
            _contender(device, "torch, add_", lambda: target.add_(other), goal),
            _contender(
                device,
                "add_ in the device's scope",
                lambda: ops.add_(target, other, scope="device"),
                faster(),
            ),
        ],
        elements=CALLS * n,
    )


def _fetching(device: str, n: int, dtype: torch.dtype) -> Case:
    target = torch.zeros(n, dtype=dtype, device=device)
    other, copy = torch.ones_like(target), torch.empty_like(target)

    def as_much() -> None:  # two reads and two writes of each element, as fetch_add has
        copy.copy_(other)
        target.copy_(other)

    return Case(
        f"fetch_add {_name(dtype)}, {_size(n)}",
        _contender(device, "fetch_add", lambda: ops.fetch_add(target, other), None),
        [_contender(device, "two copies", as_much, faster(0.8))],
        elements=CALLS * n,
    )


def _counting(device: str, index: Tensor, rows: int, dtype: torch.dtype, goal: Goal) -> Case:
    how = "Zipf" if goal == faster(2) else "uniform"
    target = torch.zeros(rows, dtype=dtype, device=device)
    one = torch.ones(len(index), dtype=dtype, device=device)
    if dtype.is_floating_point:
        goal = faster(1)
    return Case(
        f"counting {_size(len(index))} {how} words, {_name(dtype)}",
        _contender(device, "index_add_", lambda: ops.index_add_(target, 0, index, one), None),
        [
            _contender(device, "torch, index_add_", lambda: target.index_add_(0, index, one), goal),
            _contender(
                device, "torch, scatter_add_", lambda: target.scatter_add_(0, index, one), faster()
            ),
        ],
        elements=CALLS * len(index),
    )


def _rows(device: str, index: Tensor, rows: int) -> Case:
    target = torch.zeros(rows, WIDTH, device=device)
    source = torch.ones(len(index), WIDTH, device=device)
    return Case(
        f"index_add_ {_size(len(index))} Zipf rows of {WIDTH} float32",
        _contender(device, "index_add_", lambda: ops.index_add_(target, 0, index, source), None),
        [
            _contender(
                device, "torch, index_add_", lambda: target.index_add_(0, index, source), faster(1)
            )
        ],
        elements=CALLS * source.numel(),
    )


def _tickets(device: str, n: int) -> Case:
    """All draw from one counter; beside it, one addition for each warp, of a type that waits."""
    counter = torch.zeros(1, dtype=torch.int64, device=device)
    index, one = torch.zeros(n, dtype=torch.int64, device=device), counter.new_ones(n)
    warps, each = index[: n // 32], torch.ones(n // 32, device=device)
    limit = torch.zeros(1, device=device)
    return Case(
        f"{_size(n)} tickets of one counter",
        _contender(
            device, "index_fetch_add", lambda: ops.index_fetch_add(counter, 0, index, one), None
        ),
        [
            _contender(
                device,
                "an addition for each 32",
                lambda: ops.index_add_(limit, 0, warps, each),
                faster(1 / 1.5),
            )
        ],
        elements=CALLS * n,
    )


def _uniform(n: int, rows: int, device: str) -> Tensor:
    return torch.randint(rows, (n,), device=device)


def _zipf(n: int, rows: int, device: str) -> Tensor:
    weights = 1 / torch.arange(1, rows + 1, dtype=torch.float64, device=device)
    cumulative = weights.cumsum(0) / weights.sum()
    drawn = torch.rand(n, dtype=torch.float64, device=device)
    return torch.searchsorted(cumulative, drawn).clamp_(max=rows - 1)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _size(n: int) -> str:
    return f"{n >> 20} M" if n >= 1 << 20 else str(n)
