"""Two hosts with a cable between them: network namespaces of Linux, which need root."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator

import pytest

_CLONE_NEWNET = 0x40000000


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=20)


class Hosts:
    """Two network namespaces; host k has the address ``10.93.0.{k + 1}``."""

    def __init__(self) -> None:
        self.names = [f"atomics-{uuid.uuid4().hex[:8]}" for _ in range(2)]
        try:
            for name in self.names:
                _ip("netns", "add", name)
            first, second = self.names
            _ip(
                "-n",
                first,
                "link",
                "add",
                "cable",
                "type",
                "veth",
                "peer",
                "cable",
                "netns",
                second,
            )
            for k, name in enumerate(self.names):
                _ip("-n", name, "address", "add", f"{self.address(k)}/24", "dev", "cable")
                _ip("-n", name, "link", "set", "cable", "up")
                _ip("-n", name, "link", "set", "lo", "up")
        except BaseException:
            self.remove()
            raise

    def address(self, k: int) -> str:
        return f"10.93.0.{k + 1}"

    def move_to(self, k: int) -> None:
        """Move this process to host k."""
        with open(f"/run/netns/{self.names[k]}") as namespace:  # noqa: PTH123 (for its fd)
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
        os.environ["GLOO_SOCKET_IFNAME"] = "cable"

    def pull_the_cable(self) -> None:
        """Nothing gets through any more, and nobody is told."""
        _ip("-n", self.names[0], "link", "set", "cable", "down")

    def remove(self) -> None:
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, timeout=20)


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and the command ip")
    try:
        made = Hosts()
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
    yield made
    made.remove()
