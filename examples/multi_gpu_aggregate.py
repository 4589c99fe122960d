"""Add up gradients of several processes and GPUs in one tensor, racy and by atomic additions.

Each process calculates on a GPU of its own, as far as there are any, and adds to a tensor on the
first one that all of them were sent (CUDA's IPC): the atomic way over the link between the two, as
far as that has atomics. Nobody waits for anybody: no collective, no lock. Without a GPU it runs on
the CPU, over shared memory. Not yet run on a card.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch
from _screen import ATOMIC, RACY, console, parser, print_table
from _workers import run_workers
from torch import Tensor

import caffe2op_atomics as atomics


def add_gradients(
    rank: int, way: str, total: Tensor, done: atomics.Counter, options: argparse.Namespace
) -> None:
    """Add a gradient of ones again and again, calculated on this worker's own device."""
    device = total.device
    if total.is_cuda:
        device = torch.device("cuda", rank % torch.cuda.device_count())
        torch.cuda.set_device(device)
    weights = torch.zeros(len(total), device=device, requires_grad=True)
    direct = way == ATOMIC and adds_over_link(total, weights)
    for _ in range(options.steps):
        (gradient,) = torch.autograd.grad(weights.sum(), weights)
        if not direct:
            gradient = gradient.to(total.device)
        if way == ATOMIC:
            atomics.ops.add_(total, gradient)
        else:
            total += gradient
        done += 1
    if total.is_cuda:
        torch.cuda.synchronize(total.device)
        torch.cuda.synchronize(device)


def adds_over_link(total: Tensor, zeros: Tensor) -> bool:
    """Return whether the GPU of ``zeros`` adds to ``total`` from where it is."""
    try:
        atomics.ops.add_(total, zeros)
    except RuntimeError as error:
        if "with atomics over its link" not in str(error):
            raise
        return False
    return True


def main(argv: Sequence[str] | None = None) -> int:
    """Aggregate in both ways, and return 0 if the atomic one lost nothing."""
    arguments = parser(__doc__)
    arguments.add_argument("--steps", type=int, default=300, help="of each worker")
    arguments.add_argument("--size", type=int, default=100_000, help="elements of a gradient")
    options = arguments.parse_args(argv)

    gpus = torch.cuda.device_count()
    device = "cuda:0" if gpus else "cpu"
    start_method = "spawn" if gpus else options.start_method  # CUDA does not survive a fork
    additions = options.workers * options.steps
    rows, exact = [], False
    for way in (RACY, ATOMIC):
        total, done = torch.zeros(options.size, device=device).share_memory_(), atomics.Counter()
        run_workers(
            add_gradients,
            (way, total, done, options),
            options.workers,
            start_method,
            progress=lambda way=way, done=done: (way, done.value / additions),  # type: ignore[misc]
        )
        lost = 1 - total.double().mean().item() / additions
        exact = bool(total.eq(additions).all())
        rows.append((way, f"{additions:,}", f"{lost:.2%}"))
    where = f"{gpus} GPU{'s' * (gpus != 1)}" if gpus else "the CPU"
    title = f"{options.workers} processes, {where}, {options.size:,} elements"
    print_table(title, ("", "gradients", "lost"), rows)
    console.print(
        "Of the atomic additions, none is missing." if exact else "Additions are missing!"
    )
    return int(not exact)


if __name__ == "__main__":
    raise SystemExit(main())
