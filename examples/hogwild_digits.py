"""Train one network on handwritten digits from several workers at once, three ways.

All workers read and update the same weights. A ledger beside the weights shows what was lost.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import _common as common
import torch
from _common import console
from _hogwild_ways import WAYS, Way
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

import caffe2op_atomics as atomics

HIDDEN = 64
BATCH = 8
RATE = 0.005
TARGET = 0.965  # test accuracy at which all workers stop
EPOCHS = 200  # after which they stop anyway
EVALUATE_EVERY = 500  # mini-batches


class Digits(NamedTuple):
    """The images as rows of pixels from 0 to 1, and what they show; in shared memory."""

    images: Tensor
    labels: Tensor
    test_images: Tensor
    test_labels: Tensor

    @property
    def batches(self) -> int:
        """How many mini-batches make an epoch; what is left over changes with the epoch."""
        return len(self.images) // BATCH


class Diary(NamedTuple):
    """What a worker did: the tickets it drew, and when it saw which loss."""

    tickets: list[int]
    losses: list[tuple[float, float]]


class Training:
    """One network in training, with what the workers share besides the weights."""

    def __init__(self, digits: Digits, name: str, start_method: str, checkpoint: Path) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(64, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))
        self.model.share_memory()
        self.way = WAYS[name](self.model.parameters(), start_method)
        self.digits = digits
        self.checkpoint = checkpoint
        self.accuracy = torch.zeros(1).share_memory_()
        self.stop = atomics.AtomicBool()
        # A worker that dies here leaves half a checkpoint, which the next one overwrites.
        self.evaluation = atomics.Mutex(on_owner_died="recover")

    def evaluate(self) -> None:
        """Measure the test accuracy, save a checkpoint, and stop all workers if it is enough."""
        with self.evaluation:
            with torch.no_grad():
                guesses = self.model(self.digits.test_images).argmax(dim=1)
            self.accuracy[0] = (guesses == self.digits.test_labels).float().mean()
            torch.save(self.model.state_dict(), self.checkpoint)
            self.stop.set_if(self.accuracy[0] >= TARGET)


@cache
def shuffled(length: int, epoch: int) -> Tensor:
    """Return the order of the images in an epoch, which is the same in all workers."""
    return torch.randperm(length, generator=torch.Generator().manual_seed(epoch))


def train(rank: int, training: Training) -> Diary:
    """Draw mini-batches and update the shared weights until somebody says stop."""
    digits, model, way = training.digits, training.model, training.way
    weights = list(model.parameters())
    diary = Diary([], [])
    while not training.stop.is_set():
        ticket = way.next_ticket()
        epoch, place = divmod(ticket, digits.batches)
        if epoch >= EPOCHS:
            break
        batch = shuffled(len(digits.images), epoch)[place * BATCH : (place + 1) * BATCH]
        # Plain reads of the weights are fine, beside atomic writes too: each number read is whole.
        # Some are a step older than others, which SGD takes; only lost writes are gone for good.
        loss = nn.functional.cross_entropy(model(digits.images[batch]), digits.labels[batch])
        gradients = torch.autograd.grad(loss, weights)
        way.update(weights, gradients, RATE)
        diary.tickets.append(ticket)
        diary.losses.append((time.perf_counter(), loss.item()))
        if (ticket + 1) % EVALUATE_EVERY == 0:
            training.evaluate()
    return diary


@dataclass(frozen=True)
class Outcome:
    """What a way of sharing came to, from what the workers did and what the ledger shows."""

    training: Training
    reports: list[common.Report[Diary]]

    @property
    def tickets(self) -> list[int]:
        """The number of every mini-batch that was used, one for each step."""
        return [ticket for report in self.reports for ticket in report.result.tickets]

    @property
    def repeated(self) -> int:
        """How many mini-batches were dealt though they had been dealt before."""
        return len(self.tickets) - len(set(self.tickets))

    @property
    def missed(self) -> int:
        """How many mini-batches were never dealt, before the last one that was."""
        return max(self.tickets) + 1 - len(set(self.tickets))

    @property
    def uncounted(self) -> int:
        """How many steps were made but not counted."""
        return len(self.tickets) - self.training.way.steps()

    @property
    def entries(self) -> Tensor:
        """How often each weight was updated, from the ledger."""
        return torch.cat([entries.flatten() for entries in self.training.way.ledger])

    @property
    def expected(self) -> int:
        """How many updates of single weights the workers made."""
        return len(self.tickets) * self.entries.numel()

    @property
    def exact(self) -> bool:
        """Whether every batch was dealt once, and every step counted and in every weight."""
        strays = self.repeated or self.missed or self.uncounted
        return not strays and bool((self.entries == len(self.tickets)).all())

    def losses(self, window: int) -> tuple[Tensor, Tensor]:
        """Return seconds since the start, and the mean loss of so many steps up to then."""
        times, losses = torch.tensor(
            sorted(seen for report in self.reports for seen in report.result.losses),
            dtype=torch.float64,
        ).T
        began = min(report.began for report in self.reports)
        return times[window - 1 :] - began, losses.unfold(0, window, 1).mean(dim=1)


def read_digits() -> Digits:
    """Return scikit-learn's digits in shared memory, a quarter of them for the test."""
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images / 16, labels, test_size=0.25, random_state=0)
    train_images, test_images, train_labels, test_labels = (
        torch.tensor(part, dtype=dtype).share_memory_()
        for part, dtype in zip(parts, 2 * [torch.float32] + 2 * [torch.int64], strict=True)
    )
    return Digits(train_images, train_labels, test_images, test_labels)


def train_one_way(name: str, digits: Digits, workers: int, start_method: str, out: Path) -> Outcome:
    """Train a new network in one way, and show how far it is meanwhile."""
    training = Training(digits, name, start_method, out / "digits.pt")

    def progress() -> tuple[str, float]:
        text = f"{name}: test accuracy {training.accuracy.item():.1%}"
        return text, training.way.steps() / (EPOCHS * digits.batches)

    reports = common.run_workers(train, (training,), workers, start_method, progress)
    return Outcome(training, reports)


def show(outcomes: dict[str, Outcome], title: str) -> None:
    """Print what each way came to."""
    table = common.make_table(
        title,
        "",
        "steps",
        "batches\ndealt twice",
        "updates\nexpected",
        "updates\nlost",
        "weights\nshort",
        "samples/s",
        "test\naccuracy",
    )
    for name, outcome in outcomes.items():
        steps = len(outcome.tickets)
        table.add_row(
            name,
            f"{steps:,}",
            f"{outcome.repeated:,}",
            f"{outcome.expected:,}",
            f"{outcome.expected - int(outcome.entries.sum()):,}",
            f"{(outcome.entries < steps).double().mean():.1%}",
            f"{steps * BATCH / common.seconds(outcome.reports):,.0f}",
            f"{outcome.training.accuracy.item():.1%}",
        )
    console.print(table)


def main(argv: Sequence[str] | None = None) -> int:
    """Train three ways, and return 0 if the atomic way lost nothing."""
    parser = common.parser(__doc__)
    parser.add_argument("--threads", action="store_true", help="threads, not processes")
    options = parser.parse_args(argv)
    start_method = common.THREADS if options.threads else options.start_method
    options.out.mkdir(parents=True, exist_ok=True)

    digits = read_digits()
    outcomes = {
        name: train_one_way(name, digits, options.workers, start_method, options.out)
        for name in WAYS
    }
    show(outcomes, f"{options.workers} workers")
    return int(not outcomes[common.ATOMIC].exact)


if __name__ == "__main__":
    raise SystemExit(main())
