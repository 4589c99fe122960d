from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from emulation import emulation, machine  # noqa: F401  (fixtures)
from network import hosts  # noqa: F401  (a fixture)
from stores import KINDS, Open, hosting, opening
from support import NEEDS_GPU, START_METHODS, STRATEGIES

import caffe2op_atomics  # noqa: F401  (registers the ops)
from caffe2op_atomics._shared_file import DIRECTORY


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=NEEDS_GPU)])
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    """The device that tensors are made on while the test runs."""
    with torch.device(request.param):
        yield request.param


@pytest.fixture(params=START_METHODS)
def start_method(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=STRATEGIES)
def strategy(request: pytest.FixtureRequest) -> Iterator[str]:
    """The sharing strategy of torch.multiprocessing while the test runs."""
    before = mp.get_sharing_strategy()
    mp.set_sharing_strategy(request.param)
    yield request.param
    mp.set_sharing_strategy(before)


@pytest.fixture
def x_path(tmp_path: Path) -> Path:
    """A file for a mutex to be made in."""
    return tmp_path / "x"


@pytest.fixture
def name() -> Iterator[str]:
    """A name that nobody else uses; removes the files of it, and of ``name.anything``."""
    name = f"test.{uuid.uuid4().hex}"
    yield name
    for path in DIRECTORY.glob(f"*{name}*"):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


@pytest.fixture
def fresh_compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A torch.compile that has compiled nothing yet."""
    # A statistic for which it empties the caches of the CPU: a third of the time of some tests.
    monkeypatch.setattr(torch._dynamo.guards, "profile_guard_manager", lambda *_: 0.0)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield
    torch._dynamo.reset()


@pytest.fixture(params=KINDS)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens one store of torch.distributed, of each kind in turn."""
    with opening(request.param, tmp_path) as open_it:
        yield open_it


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a store that another program hosts."""
    with hosting() as (_, port):
        yield port
