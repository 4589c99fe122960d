"""A store that dies, is frozen or cut off: every method says so in time, and nobody hangs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch.distributed as dist
from named_files import ended, in_fork
from stores import client, hosting, no_warnings_of_torch
from support import TIMEOUT, interrupted_after

from caffe2op_atomics.distributed import (
    AtomicBool,
    Counter,
    SharedBatchSampler,
    StoreDiedError,
)


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    with no_warnings_of_torch():
        yield


COUNTER = {
    "next": Counter.next,
    "fetch_add": lambda counter: counter.fetch_add(1),
    "fetch_sub": lambda counter: counter.fetch_sub(1),
    "+=": lambda counter: counter.__iadd__(1),
    "-=": lambda counter: counter.__isub__(1),
    "value": lambda counter: counter.value,
    "wait_until reached": lambda counter: counter.wait_until(0),
    "wait_until": lambda counter: counter.wait_until(10**6),
    "wait_until with timeout": lambda counter: counter.wait_until(10**6, TIMEOUT),
    "unlink": Counter.unlink,
}
FLAG = {
    "set": AtomicBool.set,
    "clear": AtomicBool.clear,
    "is_set": AtomicBool.is_set,
    "set_if": lambda flag: flag.set_if(True),
    "bool": bool,
    "wait": AtomicBool.wait,
    "wait with timeout": lambda flag: flag.wait(TIMEOUT),
    "unlink": AtomicBool.unlink,
}
SAMPLER = {
    "next": lambda sampler: next(iter(sampler)),
    "set_epoch": lambda sampler: sampler.set_epoch(1),
    "unfinished": SharedBatchSampler.unfinished,
    "unlink": SharedBatchSampler.unlink,
}

WAITS = re.compile("wait(?!.* reached)")
Call = Callable[[], object]


def calls(store: dist.Store, timeout: float, apart: float) -> dict[str, Call]:
    """Each method of objects; with timeouts that differ, they have connections of their own."""
    made: dict[str, Call] = {}
    for kind, methods in ((Counter, COUNTER), (AtomicBool, FLAG), (SharedBatchSampler, SAMPLER)):
        for what, method in methods.items():
            options = {"store": store, "timeout": timeout + apart * len(made)}
            numbers = (8, 4) if kind is SharedBatchSampler else ()
            it = kind(*numbers, name=kind.__name__, **options)
            made[f"{kind.__name__} {what}"] = lambda method=method, it=it: method(it)
    return made


class Caller(threading.Thread):
    """Makes a call, and notes when it raised StoreDiedError."""

    def __init__(self, call: Call) -> None:
        super().__init__(daemon=True)
        self._call, self.raised = call, 0.0
        self.start()

    def run(self) -> None:
        try:
            self._call()
        except StoreDiedError:
            self.raised = time.monotonic()


def check_all_raise(callers: dict[str, Caller], since: float, least: float, most: float) -> None:
    for caller in callers.values():
        caller.join(TIMEOUT)
    took = {what: caller.raised - since for what, caller in callers.items()}
    assert {what: each for what, each in took.items() if not least <= each <= most} == {}


def test_killed_store_is_an_error_within_a_second_in_every_method():
    with hosting() as (host, port):
        made = calls(client(port), 30, 0.001)
        waiting = {what: Caller(call) for what, call in made.items() if WAITS.search(what)}
        time.sleep(0.2)
        assert len(waiting) == 4
        assert all(caller.is_alive() for caller in waiting.values())
        host.kill()
        killed = time.monotonic()
        rest = {what: Caller(made[what]) for what in made.keys() - waiting.keys()}
        check_all_raise(waiting | rest, killed, 0, 1)
        host.wait()
        again = time.monotonic()
        check_all_raise({what: Caller(call) for what, call in made.items()}, again, 0, 1)


def test_store_that_is_gone_is_an_error_at_once_for_who_comes_later():
    with hosting() as (host, port):
        store = client(port)
        counter = Counter("c", store=store)
        host.kill()
        host.wait()
        with pytest.raises(
            StoreDiedError,
            match=rf"^Counter 'c': the store must answer within 30 s, got: .*:{port}\)$",
        ):
            counter.next()
        assert repr(counter) == "Counter(name='c', its store died)"
        since = time.monotonic()
        with pytest.raises(StoreDiedError, match="Connection refused"):
            Counter("c", store=store)
        assert time.monotonic() - since < 5


@contextmanager
def frozen(host: subprocess.Popen) -> Iterator[None]:
    host.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, host.pid, os.WSTOPPED | os.WNOWAIT)
    try:
        yield
    finally:
        host.send_signal(signal.SIGCONT)


def test_frozen_store_is_an_error_within_the_timeout_and_for_good():
    with hosting() as (host, port):
        store = client(port)
        made = calls(store, 1, 0)
        counter = Counter("c", 10, store=store, timeout=1.1)
        with frozen(host):
            since = time.monotonic()
            callers = {what: Caller(call) for what, call in made.items()}
            later = Caller(lambda: Counter("c", store=store, timeout=1.2))
            several = {str(n): Caller(counter.next) for n in range(3)}  # of one connection
            check_all_raise(callers | several, since, 0.9, 2)
            check_all_raise({"made later": later}, since, 0.9, 2)
        for call in (*made.values(), counter.next):
            with pytest.raises(StoreDiedError, match="Socket Timeout"):
                call()
        anew = Counter("c", store=store, timeout=TIMEOUT)  # what was sent before may arrive first
        value = anew.value
        assert (anew.next(), anew.next()) == (value, value + 1)


def test_waits_of_torch_do_not_hold_up_ours():
    with hosting() as (_, port):
        store = client(port)
        counter = Counter("c", store=store, timeout=0.5)
        waiter = threading.Thread(target=lambda: store.get("later"), daemon=True)
        waiter.start()
        time.sleep(0.1)
        assert counter.next() == 0
        time.sleep(0.8)  # and have no limit of ours
        client(port).set("later", "x")
        waiter.join(TIMEOUT)
        assert not waiter.is_alive()


def test_wait_is_ended_by_ctrl_c(port):
    store = client(port)
    counter, flag = Counter("ctrl-c", store=store), AtomicBool("ctrl-c.flag", store=store)
    for wait in (lambda: counter.wait_until(1), flag.wait):
        since = time.monotonic()
        with interrupted_after(0.2):
            wait()
        assert time.monotonic() - since < 1.2
    assert counter.next() == 0


def test_ctrl_c_while_the_store_is_frozen_is_handled_within_the_timeout():
    with hosting() as (host, port):
        counter = Counter("c", store=client(port), timeout=3)
        with frozen(host):
            since = time.monotonic()
            with interrupted_after(0.3):
                counter.wait_until(1)
            assert time.monotonic() - since < 4


def test_file_that_was_removed_is_an_error_and_not_made_anew(tmp_path):
    path = tmp_path / "store"
    store = dist.FileStore(str(path), -1)
    counter, flag = Counter("c", 5, store=store), AtomicBool("f", store=store)
    counter.next()
    path.unlink()
    for call in (counter.next, flag.is_set, lambda: Counter("c", store=store)):
        with pytest.raises(
            StoreDiedError,
            match=r": the store must answer, got: its file was removed \(FileStore\)$",
        ):
            call()
    assert not path.exists()


def test_forked_child_does_not_count_in_a_copy_of_a_hash_store():
    counter = Counter("c", store=dist.HashStore())
    counter.next()

    def count_on() -> None:
        with pytest.raises(StoreDiedError, match="a forked child, to whose HashStore the parent"):
            counter.next()

    assert ended(in_fork(count_on)) == 0
    assert counter.value == 1
