"""Train one network on handwritten digits from several workers at once, three ways.

All workers read and update the same weights. A ledger beside the weights shows what was lost.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import torch
from _hogwild_outcome import Outcome, Step, draw, show
from _hogwild_ways import WAYS
from _screen import ATOMIC, parser, save
from _workers import THREADS, run_workers, seconds
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

import caffe2op_atomics as atomics

HIDDEN = 64
BATCH = 8
RATE = 0.001
TARGET = 0.95  # test accuracy at which all workers stop
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


class Training:
    """One network in training, with what the workers share besides the weights."""

    def __init__(self, name: str, digits: Digits, options: argparse.Namespace) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(64, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))
        self.model.share_memory()
        self.way = WAYS[name](self.model.parameters(), RATE, options.start_method)
        self.digits = digits
        self.epochs = options.epochs
        self.checkpoint = options.out / "digits.pt"
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


def train(rank: int, training: Training) -> list[Step]:
    """Draw mini-batches and update the shared weights until somebody says stop."""
    digits, model, way = training.digits, training.model, training.way
    weights = list(model.parameters())
    steps = []
    while not training.stop.is_set():
        ticket = way.next_ticket()
        epoch, place = divmod(ticket, digits.batches)
        if epoch >= training.epochs:
            break
        batch = shuffled(len(digits.images), epoch)[place * BATCH : (place + 1) * BATCH]
        # Plain reads of the weights are fine, beside atomic writes too: each number read is whole.
        # Some are a step older than others, which SGD takes; only lost writes are gone for good.
        loss = nn.functional.cross_entropy(model(digits.images[batch]), digits.labels[batch])
        gradients = torch.autograd.grad(loss, weights)
        way.update(gradients)
        steps.append(Step(time.perf_counter(), ticket, loss.item()))
        if (ticket + 1) % EVALUATE_EVERY == 0:
            training.evaluate()
    return steps


def read_digits() -> Digits:
    """Return scikit-learn's digits in shared memory, a quarter of them for the test."""
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images / 16, labels, test_size=0.25, random_state=0)
    train_images, test_images, train_labels, test_labels = map(torch.tensor, parts)
    digits = Digits(train_images.float(), train_labels, test_images.float(), test_labels)
    for part in digits:
        part.share_memory_()
    return digits


def train_one_way(name: str, digits: Digits, options: argparse.Namespace) -> Outcome:
    """Have all workers train one new network, and return what the ledger shows."""
    training = Training(name, digits, options)

    def progress() -> tuple[str, float]:
        text = f"{name}: test accuracy {training.accuracy.item():.1%}"
        return text, training.way.steps() / (options.epochs * digits.batches)

    reports = run_workers(
        train, (training,), options.workers, options.start_method, progress, training.stop.set
    )
    began = min(report.began for report in reports)
    steps = sorted(step for report in reports for step in report.result)
    return Outcome(
        steps=[step._replace(at=step.at - began) for step in steps],
        counted=training.way.steps(),
        entries=torch.cat([entries.flatten() for entries in training.way.ledger]),
        samples_per_second=BATCH * len(steps) / seconds(reports),
        accuracy=training.accuracy.item(),
        cpu_shares=[report.cpu_share for report in reports],
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Train in three ways, and return 0 if this package lost nothing."""
    arguments = parser(__doc__)
    arguments.add_argument(
        "--threads",
        dest="start_method",
        action="store_const",
        const=THREADS,
        help="have threads for workers",
    )
    arguments.add_argument(
        "--epochs", type=int, default=500, help="after which they stop, however many are right"
    )
    options = arguments.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)

    digits = read_digits()
    outcomes = {name: train_one_way(name, digits, options) for name in WAYS}
    kind = "threads" if options.start_method == THREADS else "processes"
    show(
        outcomes,
        f"{options.workers} {kind} train one network on {len(digits.images):,} digits "
        f"until {TARGET:.0%} of {len(digits.test_images)} others are right",
    )
    save(draw(outcomes), options.out / "digits.png")
    return int(not outcomes[ATOMIC].exact)


if __name__ == "__main__":
    raise SystemExit(main())
