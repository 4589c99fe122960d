"""Objects by name: one for all who use the name, until it is unlinked."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

import pytest
from named_files import ended, in_fork, path_of
from support import TIMEOUT

from caffe2op_atomics import AtomicBool, Counter, Mutex, OwnerDiedError, _named

KINDS = [Counter, AtomicBool, Mutex]


@pytest.mark.parametrize("initial", [0, 5, -1, 2**63 - 1, -(2**63)])
def test_first_counter_sets_the_value_and_later_ones_keep_it(name, initial):
    first = Counter(initial, name=name)
    assert first.value == initial
    assert Counter(7, name=name).value == initial


def test_counters_of_one_name_are_one(name):
    first, second = Counter(name=name), Counter(name=name)
    first += 3
    assert second.next() == 3
    assert first.value == 4


def test_flags_of_one_name_are_one(name):
    first, second = AtomicBool(name=name), AtomicBool(name=name)
    assert not second.is_set()
    first.set()
    assert second.is_set()
    assert AtomicBool(name=name).is_set()


def test_mutexes_of_one_name_are_one(name):
    first, second = Mutex(name=name), Mutex("recover", name=name)
    with first:
        assert second.locked()
        with pytest.raises(RuntimeError, match="must not be held by the calling thread"):
            second.acquire()
    assert not second.locked()


def test_tensor_of_a_named_counter_is_its_memory(name):
    counter = Counter(4, name=name)
    counter.tensor.add_(1)
    assert Counter(name=name).value == 5
    assert counter.tensor.shape == (1,)


@pytest.mark.parametrize("kind", KINDS)
def test_name_is_none_without_one(kind, name):
    assert kind().name is None
    assert kind(name=name).name == name


@pytest.mark.parametrize("kind", KINDS)
def test_name_is_a_keyword(kind, name):
    with pytest.raises((TypeError, ValueError)):
        kind(0, name)


def test_longest_name_works(name):
    longest = (name + ".").ljust(200, "x")
    assert Counter(3, name=longest).value == 3
    assert Counter(name=longest).unlink()


@pytest.mark.parametrize("mask", [0, 0o777])
def test_file_is_its_users_whatever_the_umask(name, mask):
    before = os.umask(mask)
    try:
        Counter(name=name)
    finally:
        os.umask(before)
    assert path_of(name).stat().st_mode & 0o7777 == 0o600
    assert Counter(name=name).value == 0


@pytest.mark.parametrize("kind", KINDS)
def test_unlinked_objects_go_on_and_the_name_makes_a_new_one(kind, name):
    old, same = kind(name=name), kind(name=name)
    assert old.unlink()
    assert old.name == name
    new = kind(name=name)
    use, look = {
        Counter: (Counter.next, lambda counter: counter.value),
        AtomicBool: (AtomicBool.set, AtomicBool.is_set),
        Mutex: (Mutex.acquire, Mutex.locked),
    }[kind]
    use(old)
    assert look(same)
    assert not look(new)
    if kind is Mutex:
        old.release()


@pytest.mark.parametrize("kind", KINDS)
def test_unlink_removes_no_other_file(kind, name):
    old = kind(name=name)
    assert old.unlink()
    assert not old.unlink()
    new = kind(name=name)
    assert not old.unlink()
    assert path_of(name).exists()
    assert new.unlink()
    path_of(name).write_bytes(b"something else")
    assert not new.unlink()
    assert path_of(name).read_bytes() == b"something else"


@pytest.mark.parametrize("kind", KINDS)
def test_unlink_without_a_name_raises(kind):
    text = f"^unlink: {kind.__name__} must have a name, got one without$"
    with pytest.raises(RuntimeError, match=text):
        kind().unlink()


def test_name_that_goes_while_it_is_attached_to_is_made_anew(name, monkeypatch):
    """Others were first to create, and unlinked it before this one could attach."""
    create = _named._create

    def late(*args: object) -> bool:
        monkeypatch.setattr(_named, "_create", create)
        other = Counter(5, name=name)
        assert not create(*args)
        return not other.unlink()

    monkeypatch.setattr(_named, "_create", late)
    assert Counter(9, name=name).value == 9


def test_name_that_goes_while_it_is_opened_is_made_anew(name, monkeypatch):
    open_file, other = _named._open, Counter(5, name=name)

    def late(*args: str) -> int | None:
        fd = open_file(*args)
        other.unlink()
        return fd

    monkeypatch.setattr(_named, "_open", late)
    assert Counter(9, name=name).value == 9


def test_unlink_waits_for_another_that_is_at_it_and_spares_what_is_made_since(name):
    old, unlinked = Counter(name=name), []
    thread = threading.Thread(target=lambda: unlinked.append(old.unlink()))
    with path_of(name).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # as one does who is about to unlink
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
        path_of(name).unlink()
        new = Counter(7, name=name)
    thread.join(TIMEOUT)
    assert unlinked == [False]
    assert Counter(name=name).value == 7
    assert new.unlink()


def test_attaching_leaves_no_mapping_and_no_descriptor(name):
    keep = Counter(name=name), Mutex(name=name + ".mutex")

    def used() -> tuple[int, int]:
        maps = Path("/proc/self/maps").read_text()
        return maps.count(name), len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    before = used()
    for _ in range(1000):
        Counter(name=name)
        Mutex(name=name + ".mutex")
        Counter(name=name + ".again").unlink()
    assert used() == before
    assert [each.unlink() for each in keep] == [True, True]


def test_owner_death_is_told_by_name(name):
    mutex = Mutex(name=name)
    assert ended(in_fork(lambda: Mutex(name=name).acquire())) == 0
    with pytest.raises(OwnerDiedError):
        mutex.acquire(timeout=10)
    mutex.consistent()
    mutex.release()
