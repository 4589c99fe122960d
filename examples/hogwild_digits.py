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
