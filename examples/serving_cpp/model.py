"""Train a small classifier of handwritten digits and save it as TorchScript that counts requests.

A load makes a private copy of what was saved, the count too: who serves the model sets the tensor
to count in after the load, as serve.cpp does.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import caffe2op_atomics  # noqa: F401  (registers the ops)

HIDDEN = 32
STEPS = 200


class Counted(nn.Module):
    """A classifier that adds 1 to ``requests`` in each call."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier
        self.requests: Tensor  # not above, where torch.jit would want more than its name
        self.register_buffer("requests", torch.zeros(1, dtype=torch.int64))

    def forward(self, images: Tensor) -> Tensor:
        """Return the digits that the images show."""
        torch.ops.atomics.add_(self.requests, 1)
        return self.classifier(images).argmax(dim=1)


class RacilyCounted(Counted):
    """The same as it is usually written."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the digits that the images show."""
        self.requests += 1
        return self.classifier(images).argmax(dim=1)


def train(images: Tensor, labels: Tensor) -> nn.Module:
    """Return a classifier that has learnt the images."""
    torch.manual_seed(0)
    classifier = nn.Sequential(nn.Linear(64, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))
    optimizer = torch.optim.Adam(classifier.parameters(), lr=0.01)
    for _ in range(STEPS):
        optimizer.zero_grad()
        nn.functional.cross_entropy(classifier(images), labels).backward()
        optimizer.step()
    return classifier


def main(argv: Sequence[str] | None = None) -> None:
    """Save ``digits.pt`` and ``racy.pt``, and in ``images.pt`` what to ask them."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", type=Path, default=Path("out"), help="folder for the files")
    out: Path = arguments.parse_args(argv).out

    digits = load_digits()
    images = torch.tensor(digits.data / 16, dtype=torch.float32)
    labels = torch.tensor(digits.target, dtype=torch.int64)
    classifier = train(images[::2], labels[::2])
    out.mkdir(parents=True, exist_ok=True)
    torch.save((images[1::2].contiguous(), labels[1::2].contiguous()), out / "images.pt")
    for name, counted in {"digits": Counted, "racy": RacilyCounted}.items():
        scripted = torch.jit.script(counted(classifier).eval())
        # Weights become constants. What a call changes stays an attribute, so `requests` does; to
        # name it says so, and fails if it is misspelt.
        frozen = torch.jit.freeze(scripted, preserved_attrs=["requests"])
        torch.jit.save(frozen, out / f"{name}.pt")


if __name__ == "__main__":
    main()
