"""Two network namespaces, which stand for two hosts, where root may make them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

LINK = "atomics0"


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@dataclass(frozen=True)
class Host:
    """A namespace, and its address on the link between the two."""

    name: str
    address: str

    @property
    def runs(self) -> tuple[str, ...]:
        """What to put before a command."""
        return "ip", "netns", "exec", self.name

    def set_link(self, state: str) -> None:
        """Plug the cable in (``up``), or pull it (``down``)."""
        ip("-n", self.name, "link", "set", LINK, state)


@contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Give two hosts with a link that is up; skip the test where there cannot be any."""
    hosts = [Host(f"atomics{os.getpid()}.{k}", f"10.77.0.{k}") for k in (1, 2)]
    made = []
    try:
        try:
            for host in hosts:
                ip("netns", "add", host.name)
                made.append(host)
            ends = [["netns", host.name] for host in hosts]
            ip("link", "add", LINK, *ends[0], "type", "veth", "peer", "name", LINK, *ends[1])
            for host in hosts:
                ip("-n", host.name, "address", "add", f"{host.address}/24", "dev", LINK)
                ip("-n", host.name, "link", "set", "lo", "up")
                host.set_link("up")
        except OSError as error:
            pytest.skip(f"no network namespaces: {error}")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces: {error.stderr.strip()}")
        yield hosts[0], hosts[1]
    finally:
        for host in made:
            ip("netns", "delete", host.name)
