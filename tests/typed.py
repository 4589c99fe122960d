"""A program that uses everything public, for type checkers: nothing here runs.

`make lint` checks it. Strict mypy refuses each of the wrong calls, and says so of a `type: ignore`
that it does not need.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch._C._distributed_c10d import Store
from torch.utils.data import DataLoader, TensorDataset

import caffe2op_atomics as atomics
from caffe2op_atomics import torch_ops


def registered(t: Tensor) -> None:
    whole: Tensor = torch_ops.fetch_add(t, t)
    old: int = torch_ops.fetch_add.int(t, 1)
    also_old: int = torch_ops.fetch_add(t, 1)
    real: float = torch_ops.fetch_add(t, 1.5)
    before, done = torch_ops.compare_exchange.int(t, old, also_old)
    woken: int = torch_ops.notify(t, count=1) + before
    mutex = torch_ops.create_mutex(2, device="cpu")
    torch_ops.guarded_copy_([mutex], [t], [0], [whole], [t])
    torch_ops.add_(t, t, alpha=real, seed=woken if done else None)
    torch.library.opcheck(torch_ops.add_.default, (t, t))
    torch_ops.fetch_add.int(t, "1")  # type: ignore[arg-type]
    torch_ops.fetch_add(t)  # type: ignore[call-overload]
    torch_ops.fetch_ad(t, t)  # type: ignore[attr-defined]
    torch_ops.fetch_xor.float(t, 1.0)  # type: ignore[attr-defined]
    torch_ops.add_(t, t, beta=2)  # type: ignore[call-overload]
    torch_ops.mutex_lock(mutex, 0, 1.0, 2)  # type: ignore[call-arg]
    words: str = torch_ops.wait(t, 0)  # type: ignore[assignment]
    print(words)


def objects(t: Tensor) -> None:
    steps = atomics.Counter(name="steps")
    steps += 1
    ticket: int = steps.next() + steps.fetch_add(2) + steps.value
    stop = atomics.AtomicBool()
    stop.set_if(ticket > 3)
    mutex = atomics.Mutex()
    try:
        with mutex:
            stop.set()
    except atomics.OwnerDiedError:
        mutex.consistent()
    table = atomics.GuardedTensor([3], dtype=torch.int64)
    table.index_add_(0, t, 1)
    atomics.foreach_add_([table], [t])
    moment: Tensor = atomics.snapshot(table)[0] + table.snapshot()
    atomics.ops.add_(moment, t)
    steps.value += 1  # type: ignore[assignment]
    steps.next("now")  # type: ignore[call-arg]
    stop.set_if()  # type: ignore[call-arg]
    mutex.acquire(timeout="long")  # type: ignore[arg-type]
    table.nosuch()  # type: ignore[attr-defined]


def training(model: nn.Module, dataset: TensorDataset) -> None:
    optimizer = atomics.optim.Adam(model.parameters(), lr=0.01)
    sampler = atomics.SharedBatchSampler(len(dataset), 32, prefetch=4)
    for x, label in DataLoader(dataset, batch_sampler=sampler):
        print(nn.functional.cross_entropy(model(x), label))
        optimizer.step()
    sampler.set_epoch("one")  # type: ignore[arg-type]
    atomics.optim.SGD(lr=0.01)  # type: ignore[call-arg]


def hosts(table: atomics.GuardedTensor) -> None:
    group = atomics.distributed.host_group()
    with atomics.distributed.Replica([table], group, compression=torch.bfloat16) as replica:
        replica.check()
    state: dict[str, object] = replica.state_dict()
    atomics.distributed.Replica(table, average="yes", state=state)  # type: ignore[arg-type]


def in_a_store(store: Store) -> None:
    steps = atomics.distributed.Counter("steps", 3, store=store, timeout=5)
    steps += 1
    stop = atomics.distributed.AtomicBool("stop")
    stop.set_if(steps.wait_until(3, 0.5))
    batches = atomics.distributed.SharedBatchSampler(10, 4, name="batches")
    try:
        lost: list[list[int]] = batches.unfinished(0)
        print(lost, list(batches))
    except atomics.distributed.StoreDiedError:
        print(steps.unlink())
    atomics.distributed.Counter()  # type: ignore[call-arg]
    stop.wait("long")  # type: ignore[arg-type]


def questions(update: nn.Module) -> None:
    lost: atomics.LostUpdates = atomics.check_lost_updates(update, torch.zeros(1))
    answer: atomics.Support = atomics.is_supported("fetch_xor", torch.float32)
    names: list[atomics.NameInfo] = atomics.list_names()
    removed: bool = atomics.unlink_name("steps")
    path: str = atomics.library_path()
    print(
        lost, answer, names, removed, path, atomics.LeftoverWarning, atomics.caffe2.create_mutex()
    )
    atomics.unlink_name(3)  # type: ignore[arg-type]
