"""Ranks of torch.distributed, each of which stands for a host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch.distributed as dist
import torch.multiprocessing as mp
from support import TIMEOUT, run_processes


def _enter(rank: int, size: int, store: str, work: Callable[..., Any], args: tuple) -> None:
    dist.init_process_group("gloo", rank=rank, world_size=size, init_method=f"file://{store}")
    work(rank, *args)
    dist.destroy_process_group()


def run_ranks(size: int, folder: Path, work: Callable[..., Any], *args: Any) -> None:
    """Call ``work(rank, *args)`` in ``size`` ranks of a default group."""
    run_processes(size, _enter, size, str(folder / "store"), work, args)


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
