"""Ranks of torch.distributed, each of which stands for a host."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from support import TIMEOUT, run_processes


def _enter(rank: int, size: int, store: str, work: Callable[..., Any], args: tuple) -> None:
    torch.set_num_threads(1)  # intra-op threads hang in a forked child
    dist.init_process_group("gloo", rank=rank, world_size=size, init_method=f"file://{store}")
    work(rank, *args)
    dist.destroy_process_group()


def run_ranks(size: int, folder: Path, work: Callable[..., Any], *args: Any) -> None:
    """Call ``work(rank, *args)`` in ``size`` ranks of a default group."""
    run_processes(size, _enter, size, str(folder / "store"), work, args)


@contextlib.contextmanager
def ranks_that_may_die(
    size: int, folder: Path, work: Callable[..., Any], *args: Any
) -> Iterator[list[Any]]:
    """Start ``work(rank, *args)`` in ranks that the test kills or waits for."""
    context = mp.get_context("fork")
    all_args = size, str(folder / "store"), work, args
    ranks = [context.Process(target=_enter, args=(rank, *all_args)) for rank in range(size)]
    for each in ranks:
        each.start()
    try:
        yield ranks
    finally:
        for each in ranks:
            each.kill()
            each.join()


def run_workers(count: int, work: Callable[..., Any], *args: Any) -> list[Any]:
    """Start processes of a host, which call ``work(*args)``."""
    context = mp.get_context("fork")
    workers = [context.Process(target=work, args=args) for _ in range(count)]
    for worker in workers:
        worker.start()
    return workers


def join_workers(workers: list[Any]) -> None:
    for worker in workers:
        worker.join(TIMEOUT)
        assert worker.exitcode == 0
