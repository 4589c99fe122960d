"""The process group of one rank of each host."""

from __future__ import annotations

import os

import torch.distributed as dist


def host_group() -> dist.ProcessGroup | None:
    """Return the group of the first ranks of all hosts, or None on the other ranks.

    For :class:`Replica`. All ranks of a program that torchrun started call it, at the same time;
    ``LOCAL_RANK`` says which is a host's first. With another launcher make the group yourself:
    ``torch.distributed.new_group([first rank of each host])``.

    Raises:
        RuntimeError: without a process group, or if nothing says which rank is a host's first.
    """
    if not dist.is_initialized():
        raise RuntimeError(
            "host_group: torch.distributed must be initialised, got no process group "
            "(init_process_group)"
        )
    local_rank = os.environ.get("LOCAL_RANK")
    if local_rank is None:
        raise RuntimeError(
            "host_group: LOCAL_RANK must be in the environment, as torchrun sets it, got none"
        )
    of_all: list[str | None] = [None] * dist.get_world_size()
    dist.all_gather_object(of_all, local_rank)
    firsts = [rank for rank, each in enumerate(of_all) if each == "0"]
    group = dist.new_group(firsts)
    return group if dist.get_rank() in firsts else None
