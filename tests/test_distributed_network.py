"""Objects in a store of another host, whose cable is pulled."""

from __future__ import annotations

import subprocess
import sys

import pytest
from stores import hosting
from support import TIMEOUT

CLIENT = """
import sys, time
import torch.distributed as dist
from caffe2op_atomics.distributed import AtomicBool, Counter, StoreDiedError

store = dist.TCPStore(sys.argv[1], int(sys.argv[2]), is_master=False, wait_for_workers=False)
counter, flag = Counter("c", store=store, timeout=1), AtomicBool("f", store=store, timeout=1.2)
counter += 3
print(counter.value, flush=True)
sys.stdin.readline()
calls = counter.next, counter.next, flag.wait, lambda: Counter("c", store=store, timeout=0.8)
for call in calls:
    since = time.monotonic()
    try:
        call()
    except StoreDiedError:
        print(time.monotonic() - since, flush=True)
"""


def test_store_behind_a_link_that_is_down_is_an_error_within_the_timeout(hosts):
    here, there = (("ip", "netns", "exec", name) for name in hosts.names)
    with hosting(hosts.address(1), *there) as (_, port):
        client = subprocess.Popen(
            [*here, sys.executable, "-c", CLIENT, hosts.address(1), str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert client.stdout is not None
            assert client.stdout.readline() == "3\n"
            hosts.pull_the_cable()
            printed, _ = client.communicate("\n", timeout=TIMEOUT)
        finally:
            client.kill()
            client.communicate()
        assert client.returncode == 0
        took = list(map(float, printed.split()))
        assert took == pytest.approx([1, 0, 1.2, 0.8], abs=0.5)
