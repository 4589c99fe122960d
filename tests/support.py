"""What several tests need.

Workers: on cores of their own as far as there are any, started behind a barrier, joined within a
timeout, never left behind. And the check that a refused call changed nothing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
from torch import Tensor
from torch.utils._pytree import tree_leaves

from caffe2op_atomics import is_supported
from caffe2op_atomics._cells import WHY_SLOW

TIMEOUT = 60

_COMPILER = os.environ.get("CXX", "c++").split()[0]
needs_compiler = pytest.mark.skipif(
    shutil.which(_COMPILER) is None, reason=f"there is no C++ compiler, {_COMPILER}"
)

# For tests of compiled functions: a graph break of ours warns of nothing.
NO_WARNINGS = [
    pytest.mark.filterwarnings("error::UserWarning"),
    # torch's own, of a break beside a tensor that is no leaf.
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor"),
]

ONLY_FAST = pytest.mark.skipif(WHY_SLOW is not None, reason="of the fast path")

HAS_CUDA_KERNELS = bool(is_supported("add_", torch.float32, "cuda"))
NEEDS_GPU = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
    pytest.mark.skipif(not HAS_CUDA_KERNELS, reason="no kernels for CUDA in this build"),
]

START_METHODS = ["fork", "spawn", "forkserver"]
STRATEGIES = ["file_descriptor", "file_system"]


def _move_to_core_of(rank: int) -> None:
    """Or the scheduler may leave several workers, which do not live long, on one core."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[rank % len(cores)]})


@contextlib.contextmanager
def _own_stream() -> Iterator[None]:
    """Or the calls of threads would run one after the other on a GPU, if one is used."""
    if not torch.cuda.is_initialized():
        yield
        return
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        yield
    stream.synchronize()


def run_threads(count: int, work: Callable[..., Any], *args: Any) -> list[Any]:
    """Call ``work(rank, *args)`` in threads that start together; return what they return."""
    barrier = threading.Barrier(count)
    results: list[Any] = [None] * count
    errors: list[BaseException] = []

    def run(rank: int) -> None:
        try:
            _move_to_core_of(rank)
            with _own_stream():
                barrier.wait(TIMEOUT)
                results[rank] = work(rank, *args)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(rank,), daemon=True) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    assert not any(thread.is_alive() for thread in threads), "a thread did not end"
    if errors:
        raise errors[0]
    return results


@contextlib.contextmanager
def interrupted_after(seconds: float) -> Iterator[None]:
    """Have Ctrl-C come after so many seconds, and expect it to end what is done."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    handler = signal.signal(signal.SIGALRM, interrupt)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds)  # that of the test's own time limit
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *timer)


def _enter(rank: int, barrier: Any, work: Callable[..., Any], args: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)  # intra-op threads hang in a forked child
    _move_to_core_of(rank)
    barrier.wait(TIMEOUT)
    work(rank, *args)


def run_processes(
    count: int, work: Callable[..., Any], *args: Any, start_method: str = "fork"
) -> None:
    """Call ``work(rank, *args)`` in processes that start together."""
    barrier = mp.get_context(start_method).Barrier(count)
    context = mp.start_processes(
        _enter, (barrier, work, args), nprocs=count, join=False, start_method=start_method
    )
    try:
        for _ in range(2 * TIMEOUT):
            if context.join(timeout=1):
                return
        raise AssertionError("a process did not end")
    finally:
        for process in context.processes:
            process.kill()


def _storage_bytes(tensor: Tensor) -> bytes:
    """The memory behind a tensor, its neighbours included."""
    if tensor.device.type != "cpu" or tensor.layout != torch.strided:
        return b""
    memory = torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage())
    return bytes(memory.tolist())


@contextlib.contextmanager
def nothing_changes(args: tuple[Any, ...]) -> Iterator[None]:
    tensors = [arg for arg in tree_leaves(args) if isinstance(arg, Tensor)]
    before = [_storage_bytes(each) for each in tensors]
    yield
    assert [_storage_bytes(each) for each in tensors] == before


def assert_refused(
    call: Callable[..., Any], args: tuple[Any, ...], message: str, **keywords: Any
) -> None:
    with nothing_changes(args), pytest.raises(RuntimeError) as caught:
        call(*args, **keywords)
    assert str(caught.value).splitlines()[0] == message
