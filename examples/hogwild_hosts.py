"""Train one network on handwritten digits on several hosts, each with several processes.

    export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
    torchrun --nnodes 2 --nproc-per-node 2 --max-restarts 3 --rdzv-id JOB
        --rdzv-backend c10d --rdzv-endpoint HOST:PORT examples/hogwild_hosts.py

on each host. The ranks of a host share its weights by name; a replica has the hosts follow each
other; mini-batches, steps and the sign to stop are shared by all. If a rank dies, torchrun starts
all anew, and they go on from the last checkpoint of the host that has the latest one. (Without that
variable, ranks that torchrun has started anew may read from its store the addresses of the dead
ones, and gloo does not come up: seen in torch 2.13 and 2.14.)
"""

from __future__ import annotations

import argparse
import os
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from _hogwild_outcome import Outcome, Step, print_outcomes
from _screen import console
from hogwild_digits import BATCH, EVALUATE_EVERY, HIDDEN, RATE, TARGET, Digits, read_digits
from torch import Tensor, nn

import caffe2op_atomics as atomics
from caffe2op_atomics import distributed

SAVE_EVERY = 0.5  # seconds
PATIENCE = 60.0  # seconds in which the ranks of a host come to an end


class Host:
    """The weights of this host, and a ledger of their updates, which its ranks find by name."""

    def __init__(self) -> None:
        job, number = os.environ["TORCHELASTIC_RUN_ID"], os.environ["GROUP_RANK"]
        self.number, self.ranks = int(number), int(os.environ["LOCAL_WORLD_SIZE"])
        self.is_first = os.environ["LOCAL_RANK"] == "0"
        # Other names at each start, on which all ranks agree: TORCHELASTIC_RESTART_COUNT differs
        # between hosts. What is left of the starts before is removed.
        start = [secrets.token_hex(4)]
        dist.broadcast_object_list(start)
        self._names = f"digits.{job}.host{number}."
        if self.is_first:
            self.remove_names(but=f"{self._names}{start[0]}.")

        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(64, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))
        self.weights, self.ledger = [], []
        for k, weight in enumerate(self.model.parameters()):
            name = f"{self._names}{start[0]}.{k}"
            shared = atomics.GuardedTensor(weight.detach(), name=name)
            weight.data = shared.tensor  # forward passes read it where it is
            self.weights.append(shared)
            entries = torch.zeros(weight.shape, dtype=torch.int32)
            self.ledger.append(atomics.GuardedTensor(entries, name=f"{name}.ledger"))
        self._ended = atomics.Counter(name=f"{self._names}{start[0]}.ended")

    def update(self, gradients: Sequence[Tensor]) -> None:
        """Make a step against the gradients, and note it in the ledger."""
        atomics.foreach_add_(self.weights, gradients, alpha=-RATE)
        atomics.foreach_add_(self.ledger, [torch.ones((), dtype=torch.int32)] * len(self.ledger))

    def entries(self) -> Tensor:
        """Return how often each weight was updated, by all hosts."""
        return torch.cat([entries.snapshot().flatten() for entries in self.ledger])

    def end(self) -> None:
        """Say that this rank makes no more steps; the first one waits for the others."""
        self._ended += 1
        if self.is_first and not self._ended.wait_until(self.ranks, PATIENCE):
            raise TimeoutError(f"not all ranks of host {self.number} came to an end")

    def remove_names(self, but: str = "/") -> None:
        """Remove what this job left in /dev/shm on this host, but for some names."""
        for info in atomics.list_names():
            if info.name.startswith(self._names) and not info.name.startswith(but):
                atomics.unlink_name(info.name)


class Training:
    """What all ranks of all hosts share besides the weights, in torchrun's store."""

    def __init__(self, digits: Digits, host: Host, checkpoint: Path, period: float) -> None:
        self._digits, self._host, self._checkpoint = digits, host, checkpoint
        self._sampler = distributed.SharedBatchSampler(
            len(digits.images), BATCH, name="batches", drop_last=True
        )
        self.steps = distributed.Counter("steps")
        self._stop = distributed.AtomicBool("stop")
        group, state = distributed.host_group(), None
        if group is not None and checkpoint.exists():
            state = torch.load(checkpoint)
        self.replica = (
            None
            if group is None
            else distributed.Replica(
                [*host.weights, *host.ledger], group, period=period, timeout=10, state=state
            )
        )
        self._saved = time.monotonic()
        dist.barrier()  # until all replicas are made
        self.before = host.entries()  # of the steps that a checkpoint has
        dist.barrier()  # until all have looked

    def run(self, epochs: int) -> list[Step]:
        """Train until somebody says stop, from the epoch that the ledger is in."""
        digits, host = self._digits, self._host
        parameters = list(host.model.parameters())
        mine = []
        for epoch in range(int(self.before.min()) // len(self._sampler), epochs):
            self._sampler.set_epoch(epoch)
            for indices in self._sampler:
                loss = nn.functional.cross_entropy(
                    host.model(digits.images[indices]), digits.labels[indices]
                )
                host.update(torch.autograd.grad(loss, parameters))
                # An index is in one batch of an epoch: the first one names it.
                ticket = epoch * len(digits.images) + indices[0]
                mine.append(Step(time.time(), ticket, loss.item()))
                self._look_after(self.steps.next())
                if self._stop.is_set():
                    return mine
        return mine

    def accuracy(self) -> float:
        """Return what part of the test images this host's weights get right."""
        with torch.no_grad():
            guesses = self._host.model(self._digits.test_images).argmax(dim=1)
        return float((guesses == self._digits.test_labels).float().mean())

    def end(self) -> None:
        """Wait for all ranks; then all hosts have the same weights."""
        self._host.end()
        if self.replica is not None:
            self.replica.finish()
        dist.barrier()

    def _look_after(self, step: int) -> None:
        if self.replica is not None:
            self.replica.check()
            if time.monotonic() > self._saved + SAVE_EVERY:
                self._save(self.replica)
        if (step + 1) % EVALUATE_EVERY == 0:
            self._stop.set_if(self.accuracy() >= TARGET)

    def _save(self, replica: distributed.Replica) -> None:
        written = self._checkpoint.with_suffix(".new")
        torch.save(replica.state_dict(), written)
        written.replace(self._checkpoint)  # at once, if this process is killed
        self._saved = time.monotonic()


def outcome(training: Training, host: Host, of_all: list[list[Step]]) -> Outcome:
    """Return what came of it, as this host's ledger shows it."""
    steps = sorted(step for of_rank in of_all for step in of_rank)
    seconds = steps[-1].at - steps[0].at
    return Outcome(
        steps=steps,
        counted=training.steps.value,
        entries=host.entries() - training.before,
        samples_per_second=BATCH * len(steps) / seconds,
        accuracy=training.accuracy(),
        cpu_shares=[],
    )


def gathered(mine: Any) -> list[Any]:
    """Return what all ranks have."""
    of_all = [None] * dist.get_world_size()
    dist.all_gather_object(of_all, mine)
    return of_all


def main(argv: Sequence[str] | None = None) -> int:
    """Train on all hosts, and return 0 if nothing was lost and all have the same weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for checkpoints")
    parser.add_argument("--epochs", type=int, default=500, help="after which they stop")
    parser.add_argument("--period", type=float, default=0.1, help="seconds between rounds")
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    dist.init_process_group("gloo")

    host = Host()
    checkpoint = options.out / f"digits.host{host.number}.pt"
    training = Training(read_digits(), host, checkpoint, options.period)
    of_all = gathered(training.run(options.epochs))
    training.end()
    bits = [weight.snapshot() for weight in host.weights]
    report = (outcome(training, host, of_all), bits) if host.is_first else None
    reports = [each for each in gathered(report) if each is not None]
    if host.is_first:
        host.remove_names()
        checkpoint.unlink(missing_ok=True)
    dist.destroy_process_group()

    outcomes = {f"host {k}": found for k, (found, _) in enumerate(reports)}
    same = all(
        torch.equal(one, other)
        for _, found in reports
        for one, other in zip(found, bits, strict=True)
    )
    exact = all(found.exact for found in outcomes.values())
    if os.environ["RANK"] == "0":
        if training.before.any():
            console.print(f"They went on from {int(training.before.min()):,} steps of before.")
        title = f"{len(outcomes)} hosts of {host.ranks} processes train one network on digits"
        print_outcomes(outcomes, title)
        console.print(
            "A row is of one host's weights and ledger, whatever host a step was made on. In the "
            f"end the weights of all hosts are {'' if same else 'NOT '}the same, to the bit."
        )
    return int(not (same and exact))


if __name__ == "__main__":
    raise SystemExit(main())
