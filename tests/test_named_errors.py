"""What is no name, and what has the name without being the object, is refused and left alone."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest
from named_files import path_of

from caffe2op_atomics import AtomicBool, Counter, Mutex

KINDS = [Counter, AtomicBool, Mutex]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "wrong", ["", "a/b", "../x", "a b", "a\n", "\0", "ä", "٣", "x" * 201], ids=ascii
)
def test_what_is_no_name_is_refused(kind, wrong):
    rule = f"{kind.__name__}: name must have 1 to 200 characters of A-Z a-z 0-9 . _ -, got "
    with pytest.raises(ValueError, match=f"^{re.escape(rule + repr(wrong))}$"):
        kind(name=wrong)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrong", [b"x", 1, Path("x")])
def test_name_that_is_no_string_is_refused(kind, wrong):
    text = f"^{kind.__name__}: name must be a string, got {type(wrong).__name__}$"
    with pytest.raises(TypeError, match=text):
        kind(name=wrong)


def test_wrong_initial_makes_no_file(name):
    for wrong in (2**63, "1"):
        with pytest.raises((OverflowError, TypeError)):
            Counter(wrong, name=name)
    assert not path_of(name).exists()


def refused(kind, name: str, rule: str, way: str) -> None:
    text = f"{kind.__name__}: name '{name}' must {rule} (if unused: {way})"
    before = path_of(name).lstat()
    with pytest.raises(RuntimeError, match=f"^{re.escape(text)}$"):
        kind(name=name)
    assert os.path.samestat(before, path_of(name).lstat())


def edited(name: str, offset: int, content: bytes) -> None:
    with path_of(name).open("r+b") as file:
        file.seek(offset)
        file.write(content)


@pytest.mark.parametrize(
    ("offset", "content", "rule"),
    [
        (8, b"\7\0", "have layout version 1, got version 7 of another build"),
        (10, b"\2", "have kind Counter, got kind AtomicBool"),
        (10, b"\3", "have kind Counter, got kind Mutex"),
        (10, b"\xc8", "have kind Counter, got kind 200"),
        (11, b"\3", "have torch's dtype number 4, got 3"),
        (12, b"\x80", "have a payload of 64 bytes, got 128 bytes"),
        (128, b"\0", "be a file of 128 bytes, got 129 bytes"),
    ],
)
def test_other_layouts_are_refused(name, offset, content, rule):
    counter = Counter(3, name=name)
    edited(name, offset, content)
    refused(Counter, name, rule, f"python -m caffe2op_atomics --unlink {name}")
    assert counter.next() == 3


@pytest.mark.parametrize("made", KINDS)
@pytest.mark.parametrize("wanted", KINDS)
def test_other_kinds_are_refused(name, made, wanted):
    made(name=name)
    if made is not wanted:
        rule = f"have kind {wanted.__name__}, got kind {made.__name__}"
        refused(wanted, name, rule, f"python -m caffe2op_atomics --unlink {name}")


@pytest.mark.parametrize(
    ("size", "got"),
    [
        (0, "0 bytes that start with b''"),
        (63, r"63 bytes that start with b'atomics\x00'"),
    ],
)
def test_half_a_file_is_refused(name, size, got):
    Counter(name=name)
    os.truncate(path_of(name), size)
    rule = f"be a file of caffe2op_atomics, got {got}"
    refused(Counter, name, rule, f"rm {path_of(name)}")
    assert path_of(name).stat().st_size == size


def test_files_of_others_are_refused(name):
    path_of(name).write_bytes(b"something else " * 20)
    rule = "be a file of caffe2op_atomics, got 300 bytes that start with b'somethin'"
    refused(Mutex, name, rule, f"rm {path_of(name)}")


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda path: path.symlink_to("/dev/null"), "a symbolic link"),
        (os.mkfifo, "a fifo"),
        (os.mkdir, "a directory"),
        (make_socket, "a socket"),
    ],
    ids=["symlink", "fifo", "directory", "socket"],
)
def test_what_is_no_file_is_refused(name, make, what):
    make(path_of(name))
    refused(Counter, name, f"be a regular file, got {what}", f"rm {path_of(name)}")


def test_link_to_a_good_file_is_refused(name):
    Counter(name=name + ".real")
    path_of(name).symlink_to(path_of(name + ".real"))
    refused(Counter, name, "be a regular file, got a symbolic link", f"rm {path_of(name)}")


def test_file_of_another_user_is_refused(name, monkeypatch):
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    path_of(name).write_bytes(bytes(128))
    rule = f"belong to user {user + 1}, got a file of user {user}"
    refused(Counter, name, rule, f"rm {path_of(name)}")


def test_system_that_opens_nothing_is_said_to_be_so(name, monkeypatch):
    Counter(name=name)

    def fail(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "open", fail)
    text = f"Counter: system must open {path_of(name)}, got Too many open files"
    with pytest.raises(RuntimeError, match=f"^{re.escape(text)}$"):
        Counter(name=name)


def test_full_memory_is_an_error_and_leaves_nothing(name, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", fail)
    text = "^Counter: /dev/shm must let a file be made, got No space left on device$"
    with pytest.raises(RuntimeError, match=text):
        Counter(name=name)
    assert not path_of(name).exists()
