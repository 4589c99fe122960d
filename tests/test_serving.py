"""A C++ program serves TorchScript models from threads and counts exactly in a named counter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from scripted import WAYS
from support import needs_compiler
from torch import Tensor, nn

from caffe2op_atomics import AtomicBool, Counter, library_path

sys.path.insert(0, str(Path(__file__).parent.parent / "examples" / "serving_cpp"))
import _build

pytestmark = [needs_compiler, pytest.mark.timeout(240)]

N = 20_000


class Classifier(nn.Module):
    def __init__(self, times: int = 1) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.register_buffer("requests", torch.zeros(1, dtype=torch.int64))
        self.times = times

    def forward(self, images: Tensor) -> Tensor:
        torch.ops.atomics.add_(self.requests, self.times)
        return self.layer(images).argmax(dim=1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("serving") / "serve"
    _build.build(Path(_build.__file__).with_name("serve.cpp"), program)
    return program


@pytest.fixture
def shared(name: str) -> tuple[Counter, AtomicBool]:
    return Counter(5, name=name), AtomicBool(name=name + ".stop")


def serve(server: Path, folder: Path, script: torch.jit.ScriptModule, name: str):
    script.save(folder / "model.pt")
    torch.save((torch.rand(7, 4), torch.zeros(7, dtype=torch.int64)), folder / "images.pt")
    files = [library_path(), folder / "model.pt", folder / "images.pt"]
    command = [server, *files, name, str(N)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_each_request_to_a_saved_model_is_counted(server, tmp_path, name, shared, way):
    counter, stop = shared
    served = serve(server, tmp_path, way(Classifier(), torch.rand(1, 4)), name)
    assert served.returncode == 0, served.stderr
    assert served.stdout.endswith(f"counted {N}, lost 0\n")
    assert counter.value == 5 + N
    assert stop.is_set()


@pytest.mark.parametrize("times", [0, 2])
def test_server_fails_where_the_count_is_not_exact(server, tmp_path, name, shared, times):
    served = serve(server, tmp_path, torch.jit.script(Classifier(times)), name)
    assert served.returncode == 1
    assert served.stdout.endswith(f"counted {times * N}, lost {N - times * N}\n")


def test_server_refuses_a_model_without_a_count(server, tmp_path, name):
    served = serve(server, tmp_path, torch.jit.script(nn.Linear(4, 3)), name)
    assert served.returncode == 2
    assert "requests" in served.stderr
