"""Add up gradients of several processes and GPUs in one tensor, racy and by atomic additions.

Each process calculates on a GPU of its own, as far as there are any, and adds to a tensor on the
first one, which it was sent by CUDA's IPC and opens on its own: over the link between the two, if
that has atomics. Nobody waits for anybody: no collective, no lock. Without a GPU it runs on the
CPU, over shared memory. Not yet run on a card.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import torch
from _screen import ATOMIC, RACY, console, parser, print_table
from _workers import run_workers
from torch import Tensor
from torch.multiprocessing.reductions import reduce_tensor

import caffe2op_atomics as atomics


def add_gradients(
    rank: int, way: str, shared: Any, done: atomics.Counter, options: argparse.Namespace
) -> None:
    """Add a gradient of ones again and again, calculated on this worker's own device."""
    gpus = torch.cuda.device_count()
    device = torch.device("cuda", rank % gpus) if gpus else torch.device("cpu")
    if gpus:
        torch.cuda.set_device(device)
    total = opened(shared, device)
    weights = torch.zeros(len(total), device=device, requires_grad=True)
    if not adds_over_link(total, weights):
        total = opened(shared, torch.device("cuda", 0))
    for _ in range(options.steps):
        (gradient,) = torch.autograd.grad(weights.sum(), weights)
        gradient = gradient.to(total.device)
        if way == ATOMIC:
            atomics.ops.add_(total, gradient)
        else:
            total += gradient
        done += 1
    if gpus:
        torch.cuda.synchronize(total.device)


def opened(shared: Any, device: torch.device) -> Tensor:
    """Return the tensor that is shared, as one of ``device``, whichever GPU's memory it is in."""
    if isinstance(shared, Tensor):
        return shared
    rebuild, arguments = shared
    return rebuild(*arguments[:6], device.index, *arguments[7:])


def adds_over_link(total: Tensor, zeros: Tensor) -> bool:
    """Return whether the GPU of both adds to the memory of ``total``, maybe another one's."""
    try:
        atomics.ops.add_(total, zeros)
    except RuntimeError as error:
        if "target must lie in memory" not in str(error):
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
        shared = reduce_tensor(total) if gpus else total
        run_workers(
            add_gradients,
            (way, shared, done, options),
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
