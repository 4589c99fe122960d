"""Asynchronous training on digits by two processes: ours beside the racy variant, in turn."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
import torch.multiprocessing as mp
from _contest import faster
from _report import Row
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

import caffe2op_atomics as atomics

WORKERS = 2
BATCH = 16
RATE = 0.05
GOAL = 0.97
LOOK_EVERY = 100  # steps
MOST_STEPS = 20_000


@dataclass(frozen=True)
class Result:
    """Of one training: how fast, and how long it took to reach the goal."""

    samples_per_second: float
    seconds_to_goal: float


def compare_training(rounds: int) -> list[Row]:
    """Train in turn, and compare the medians."""
    data = digits()
    racy: list[Result] = []
    ours: list[Result] = []
    for seed in range(rounds):
        racy.append(_train(torch.optim.SGD, seed, data))
        ours.append(_train(atomics.optim.SGD, seed, data))
    what = f"training on digits, {WORKERS} processes"
    return rows_of(what, "torch.optim.SGD, racy", ours, racy, (0.98, 1.0))


def rows_of(
    what: str,
    against: str,
    ours: list[Result],
    theirs: list[Result],
    targets: tuple[float | None, float | None],
) -> list[Row]:
    """Compare trainings by speed, and by the time that they took to reach the goal."""

    def row(
        what: str, unit: str, mine: list[float], rival: list[float], bound: float | None
    ) -> Row:
        goal = faster(bound)
        times = median(mine) * 1e9, median(rival) * 1e9
        ratio = goal.ratio(*times)
        return Row(
            what=what,
            against=against,
            unit=unit,
            ours=times[0],
            theirs=times[1],
            faster=True,
            ratio=ratio,
            spread=goal.spread(mine, rival),
            target=bound,
            met=goal.met(ratio),
            lost=None,
            theirs_lost=None,
            note="",
        )

    per_sample = [[1 / one.samples_per_second for one in all_] for all_ in (ours, theirs)]
    to_goal = [[one.seconds_to_goal for one in all_] for all_ in (ours, theirs)]
    return [
        row(f"{what}: a sample", "sample", per_sample[0], per_sample[1], targets[0]),
        row(f"{what}: to {GOAL:.0%}", "training", to_goal[0], to_goal[1], targets[1]),
    ]


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return images and labels to train with, and others for the test."""
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images / 16, labels, test_size=0.25, random_state=0)
    train, test, train_labels, test_labels = map(torch.tensor, parts)
    return train.float(), train_labels, test.float(), test_labels


def _train(optimizer_of: Any, seed: int, digits: tuple[Tensor, ...]) -> Result:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10)).share_memory()
    optimizer = optimizer_of(model.parameters(), lr=RATE)
    context = mp.get_context("fork")
    barrier, reports = context.Barrier(WORKERS), context.SimpleQueue()
    steps, stop = atomics.Counter(), atomics.AtomicBool()
    args = (model, optimizer, digits, seed, steps, stop, barrier, reports)
    workers = [context.Process(target=_work, args=(rank, *args)) for rank in range(WORKERS)]
    for worker in workers:
        worker.start()
    spans = [reports.get() for _ in workers]
    for worker in workers:
        worker.join()
    began, ended = min(span[0] for span in spans), max(span[1] for span in spans)
    return Result(BATCH * steps.value / (ended - began), ended - began)


def _work(
    rank: int,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    digits: tuple[Tensor, ...],
    seed: int,
    steps: atomics.Counter,
    stop: atomics.AtomicBool,
    barrier: Any,
    reports: Any,
) -> None:
    torch.set_num_threads(1)
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[rank % len(cores)]})
    images, labels, test_images, test_labels = digits
    draws = torch.Generator().manual_seed(1000 * seed + rank)
    barrier.wait(timeout=60)
    began = time.perf_counter()
    while not stop.is_set():
        batch = torch.randint(len(images), (BATCH,), generator=draws)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
        optimizer.step()
        step = steps.next()
        if step % LOOK_EVERY == 0:
            with torch.no_grad():
                right = (model(test_images).argmax(dim=1) == test_labels).float().mean()
            stop.set_if(bool(right >= GOAL) or step >= MOST_STEPS)
    reports.put((began, time.perf_counter()))
