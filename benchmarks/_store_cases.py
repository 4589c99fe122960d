"""What the objects in a store are measured against: see distributed.py's docstring."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from _contest import Case, Contender, Goal, faster
from _timing import Way
from torch._C._distributed_c10d import TCPStore

from caffe2op_atomics.distributed import AtomicBool, Counter

_ADDRESS = "127.0.0.1"
_HOST = """
import sys
from torch.distributed import TCPStore

store = TCPStore(sys.argv[1], 0, is_master=True, wait_for_workers=False)
print(store.port, flush=True)
sys.stdin.read()
"""
_KEY = "atomics/benchmark/0123456789abcdef"  # as long as ours


def cases() -> Iterator[Case]:
    """Give all cases; another process, of this host, has the store."""
    with _hosting() as port:
        store = TCPStore(_ADDRESS, port, is_master=False, wait_for_workers=False)
        counter, flag = Counter("benchmark", store=store), AtomicBool("flag", store=store)
        flag.set()
        store.set(_KEY, "0")
        names = {"store": store, "counter": counter, "flag": flag, "key": _KEY, "keys": [_KEY]}

        def case(ours: str, theirs: str) -> Case:
            def contender(name: str, code: str, goal: Goal | None = None) -> Contender:
                return Contender(name, Way(code, lambda _: names), goal)

            return Case(
                f"distributed: {ours}",
                contender("atomics", ours),
                [contender(theirs, theirs, faster(0.9))],
            )

        yield case("counter.fetch_add(1)", "store.add(key, 1)")
        yield case("counter.next()", "store.add(key, 1)")
        yield case("flag.is_set()", "store.check(keys)")
        yield case("flag.set()", 'store.compare_set(key, "", "1")')


@contextmanager
def _hosting() -> Iterator[int]:
    """Have a process of its own host a store; give its port."""
    host = subprocess.Popen(
        [sys.executable, "-c", _HOST, _ADDRESS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert host.stdout is not None
        yield int(host.stdout.readline())
    finally:
        host.communicate()
