"""The example on two hosts under torchrun: on loopback, with a rank killed; and over a network."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from caffe2op_atomics import list_names

ROOT = Path(__file__).parent.parent
SECONDS = 150.0
_KEPT = ("PATH", "HOME", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV")


class Job:
    """A job of two hosts with two processes each; what host k prints is in ``logs[k]``."""

    def __init__(self, folder: Path) -> None:
        self.name = f"test-{uuid.uuid4().hex[:8]}"
        self.logs = [folder / f"host{k}.log" for k in range(2)]
        self.checkpoints = [folder / f"digits.host{k}.pt" for k in range(2)]
        self._folder = folder
        self._hosts: list[subprocess.Popen[bytes]] = []

    def start(
        self,
        addresses: Sequence[str],
        port: int,
        epochs: int,
        enter: Callable[[int], Sequence[str]] = lambda _: (),
    ) -> None:
        """Start torchrun on both; ``enter(k)`` is how a command gets to host k."""
        # Without that variable, gloo does not come up again: see the example.
        kept = {key: os.environ[key] for key in _KEPT if key in os.environ}
        env = kept | {"OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
        for k in range(2):
            command = [
                *enter(k),
                *(sys.executable, "-m", "torch.distributed.run", "--nnodes=2"),
                *("--nproc-per-node=2", "--max-restarts=3", "--rdzv-backend=c10d"),
                *(f"--rdzv-id={self.name}", f"--rdzv-endpoint={addresses[0]}:{port}"),
                *(f"--rdzv-conf=is_host={1 - k}", f"--local-addr={addresses[k]}"),
                *(str(ROOT / "examples" / "hogwild_hosts.py"), f"--out={self._folder}"),
                f"--epochs={epochs}",
            ]
            with self.logs[k].open("wb") as log:
                self._hosts.append(
                    subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)
                )

    def pid_of(self, rank: int) -> int:
        """Return the process that is a rank of the job."""
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                told = (folder / "environ").read_bytes().split(b"\0")
                job, number = f"TORCHELASTIC_RUN_ID={self.name}".encode(), f"RANK={rank}".encode()
                if job in told and number in told:
                    return int(folder.name)
        raise AssertionError(f"there is no rank {rank}")

    def wait(self) -> str:
        """Wait for the end, and return what the first host printed."""
        for k, host in enumerate(self._hosts):
            assert host.wait(SECONDS) == 0, self.logs[k].read_text()
        return self.logs[0].read_text()

    def end(self) -> None:
        for host in self._hosts:
            host.terminate()  # which ends the ranks, too
        for host in self._hosts:
            with contextlib.suppress(subprocess.TimeoutExpired):
                host.wait(20)
            host.kill()


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    job = Job(tmp_path)
    yield job
    job.end()
    assert not [info.name for info in list_names() if job.name in info.name]


def assert_exact(printed: str) -> None:
    rows = [line.split() for line in printed.splitlines() if line.startswith("host ")]
    assert [row[:2] for row in rows] == [["host", "0"], ["host", "1"]]
    for _, _, made, counted, twice, _, _, lost, short, *_ in rows:
        assert (counted, twice, lost, short) == (made, "0", "0", "0.0%")
    assert "the weights of all hosts are the same, to the bit" in " ".join(printed.split())


@pytest.mark.timeout(2 * SECONDS)
def test_job_goes_on_after_a_rank_was_killed_and_loses_nothing(job):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    job.start(["127.0.0.1"] * 2, port, epochs=150)  # of some seconds
    deadline = time.monotonic() + SECONDS
    while not all(path.exists() for path in job.checkpoints):
        assert time.monotonic() < deadline, job.logs[0].read_text()
        time.sleep(0.01)
    os.kill(job.pid_of(2), signal.SIGKILL)  # the first of host 1
    printed = job.wait()
    assert "They went on from" in printed
    assert_exact(printed)


@pytest.mark.timeout(2 * SECONDS)
def test_hosts_with_a_network_between_them(job, hosts):
    def enter(k: int) -> list[str]:
        interface = "GLOO_SOCKET_IFNAME=cable"
        return ["ip", "netns", "exec", hosts.names[k], "env", interface]

    job.start([hosts.address(k) for k in range(2)], 29400, 12, enter)
    assert_exact(job.wait())
