"""Two hosts that train on digits: a replica beside DistributedDataParallel, in turn.

A host is a process of one training thread on a core of its own; both talk through gloo, on the
loopback interface.
"""

from __future__ import annotations

import copy
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from _report import Row
from _training import GOAL, LOOK_EVERY, MOST_STEPS, RATE, Result, digits, rows_of
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import caffe2op_atomics as atomics
from caffe2op_atomics.distributed import Replica

HOSTS = 2
HIDDEN = 1024
BATCH = 64
PERIOD = 0.02  # seconds between rounds


def compare_replicas(rounds: int) -> list[Row]:
    """Train with equal hosts, and with one that is three times slower, and compare the medians."""
    rows = []
    data = digits()
    for what, slowdown, target in (
        ("2 equal hosts", 1, None),
        ("one host 3x slower", 3, 1.5),
    ):
        theirs, ours = [], []
        for seed in range(rounds):
            theirs.append(_train(_with_ddp, seed, slowdown, data))
            ours.append(_train(_with_replica, seed, slowdown, data))
        rows += rows_of(f"training on digits, {what}", "DDP", ours, theirs, (target, target))
    return rows


def _train(way: Callable[..., None], seed: int, slowdown: int, data: tuple[Tensor, ...]) -> Result:
    context = mp.get_context("fork")
    steps, stop = atomics.Counter(), atomics.AtomicBool()
    reports = context.SimpleQueue()
    with tempfile.TemporaryDirectory() as folder:
        store = str(Path(folder) / "store")
        args = (way, seed, slowdown, data, store, steps, stop, reports)
        hosts = [context.Process(target=_host, args=(rank, *args)) for rank in range(HOSTS)]
        for each in hosts:
            each.start()
        spans = [reports.get() for _ in hosts]
        for each in hosts:
            each.join()
    began, ended = min(span[0] for span in spans), max(span[1] for span in spans)
    return Result(BATCH * steps.value / (ended - began), ended - began)


def _host(
    rank: int,
    way: Callable[..., None],
    seed: int,
    slowdown: int,
    data: tuple[Tensor, ...],
    store: str,
    steps: atomics.Counter,
    stop: atomics.AtomicBool,
    reports: Any,
) -> None:
    torch.set_num_threads(1)
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[rank % len(cores)]})
    dist.init_process_group("gloo", rank=rank, world_size=HOSTS, init_method=f"file://{store}")
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(64, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))
    way(_Host(rank, 1 if rank == 0 else slowdown, seed, data, steps, stop, reports), model)
    dist.destroy_process_group()


class _Host:
    """What one host does, whatever the way to share."""

    def __init__(
        self,
        rank: int,
        slowdown: int,
        seed: int,
        data: tuple[Tensor, ...],
        steps: atomics.Counter,
        stop: atomics.AtomicBool,
        reports: Any,
    ) -> None:
        self._slowdown, self._reports = slowdown, reports
        self._images, self._labels, self._test_images, self._test_labels = data
        self._draws = torch.Generator().manual_seed(1000 * seed + rank)
        self._steps, self._stop = steps, stop

    def train(self, model: nn.Module, step: Callable[[Tensor], None], in_step: bool) -> None:
        """Make steps until the goal is reached: by any host, or by all at once if ``in_step``."""
        pause = (self._slowdown - 1) * self._seconds_of_a_step(model)
        dist.barrier()
        began = time.perf_counter()
        mine, is_good = 0, False
        while not (is_good if in_step else self._stop.is_set()):
            step(self._loss(model))
            if pause > 0:
                time.sleep(pause)
            mine += 1
            self._steps += 1
            if mine % LOOK_EVERY == 0:
                is_good = mine >= MOST_STEPS or self._accuracy(model) >= GOAL
                self._stop.set_if(is_good)
        self._reports.put((began, time.perf_counter()))

    def _loss(self, model: nn.Module) -> Tensor:
        batch = torch.randint(len(self._images), (BATCH,), generator=self._draws)
        return nn.functional.cross_entropy(model(self._images[batch]), self._labels[batch])

    def _seconds_of_a_step(self, model: nn.Module) -> float:
        plain = copy.deepcopy(model)
        optimizer = torch.optim.SGD(plain.parameters(), lr=RATE)
        for count in (20, 100):  # the first ones to warm up
            began = time.perf_counter()
            for _ in range(count):
                optimizer.zero_grad()
                self._loss(plain).backward()
                optimizer.step()
        return (time.perf_counter() - began) / count

    @torch.no_grad()
    def _accuracy(self, model: nn.Module) -> float:
        guesses = model(self._test_images).argmax(dim=1)
        return float((guesses == self._test_labels).float().mean())


def _stepper(optimizer: torch.optim.Optimizer) -> Callable[[Tensor], None]:
    def step(loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _with_ddp(host: _Host, model: nn.Module) -> None:
    # The mean over hosts, at twice the rate: what the replica's sum of both hosts' steps is.
    parallel = DistributedDataParallel(model)
    optimizer = torch.optim.SGD(parallel.parameters(), lr=HOSTS * RATE)
    host.train(parallel, _stepper(optimizer), in_step=True)


def _with_replica(host: _Host, model: nn.Module) -> None:
    model.share_memory()
    optimizer = atomics.optim.SGD(model.parameters(), lr=RATE)
    with Replica(optimizer, period=PERIOD):
        host.train(model, _stepper(optimizer), in_step=False)
