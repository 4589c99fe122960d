"""Mistakes put into the protocols, each of which the explorer has to find."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import _named_files
from _interleave import pid
from torch import Tensor

from caffe2op_atomics import _named, _tickets
from caffe2op_atomics._draws import Draws
from caffe2op_atomics._named import NamedFile
from caffe2op_atomics._shared_file import Kind, pack, path_of
from caffe2op_atomics._tickets import Draw, Tickets, pack_process, pack_ticket, unpack_record

_unfinished, _init, _create = Tickets.unfinished, Draws.__init__, _named._create


def _torn_exchange(target: Tensor, expected: int, desired: int) -> tuple[int, bool]:
    old = _tickets._load(target)
    if old == expected:
        _tickets._store(target, desired)
    return old, old == expected


def _begin_by_store(self: Tickets, epoch: int) -> None:
    if self.now()[0] < epoch:
        _tickets._store(self._ticket, pack_ticket(epoch, 0, 0))


def _unrecorded(self: Tickets, seen: int, ticket: int) -> bool:
    return _tickets._compare_exchange(self._ticket, seen, ticket)[1]


def _entered_by_store(self: Tickets) -> int:
    rows = _tickets._load_all(self._holders).tolist()
    number = next(number for number, (process, _) in enumerate(rows) if number and not process)
    _, start, namespace = _tickets._processes.myself()
    _tickets._store(self._holders[number, :1], pack_process(pid(), start))
    _tickets._store(self._holders[number, 1:], namespace)
    return number


def _last_forgotten(self: Tickets, holder: int) -> bool:
    _, who, done = unpack_record(_tickets._load_all(self._records))
    return self.is_alive(holder) is False and not bool(((who == holder) & (done == 0)).any())


def _unfinished_forgotten(self: Tickets, holder: int) -> bool:
    last = _tickets._load(self._ticket) & _tickets.MOST_HOLDERS
    return self.is_alive(holder) is False and last != holder


def _last_not_listed(self: Tickets, epoch: int) -> list[Draw]:
    with patch.object(self, "_write_record"):
        return _unfinished(self, epoch)


def _one_look(self: Tickets, epoch: int) -> list[Draw]:
    return [draw for draw in self.unfinished(epoch) if not self.is_alive(draw.holder)]


def _done_too_soon(self: Draws, *arguments: Any) -> None:
    _init(self, *arguments)
    self._prefetch -= 1


def _unfilled(kind: Kind, name: str, fill: Callable[[Tensor], object]) -> bool:
    kept: list[Tensor] = []
    made = _create(kind, name, kept.append)
    if made:
        fill(kept[0])
    return made


def _made_at_its_name(kind: Kind, name: str, fill: Callable[[Tensor], object]) -> bool:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
    try:
        fd = _named.os.open(path_of(kind.name, name), flags, 0o600)
    except FileExistsError:
        return False
    _named.os.posix_fallocate(fd, 0, kind.file_bytes)
    _named.os.pwrite(fd, pack(kind, *_named._processes.myself(), 0), 0)
    fill(_named._map(kind, fd))
    _named.os.close(fd)
    return True


def _replacing(made: str, path: Path, **options: Any) -> None:
    def call() -> None:
        os.link(made, f"{path}.new", **options)
        Path(f"{path}.new").replace(path)

    _named_files.current().access(call)


def _unlooked(path: Path, wanted: Callable[[int], bool]) -> bool:
    with suppress(FileNotFoundError):
        fd = _named.os.open(path, os.O_RDONLY)
        _named.fcntl.flock(fd, _named.fcntl.LOCK_EX)
        remove = wanted(fd)
        if remove:
            path.unlink()
        _named.os.close(fd)
        return remove
    return False


def _putting(where: Any, name: str, mistake: object) -> Callable[[], AbstractContextManager[Any]]:
    return partial(patch.object, where, name, mistake)


torn_exchange = _putting(_tickets, "_compare_exchange", _torn_exchange)
begin_by_store = _putting(Tickets, "begin", _begin_by_store)
unrecorded = _putting(Tickets, "_move", _unrecorded)
stored_record = _putting(_tickets, "_max", lambda *arguments: _tickets._store(*arguments))
entered_by_store = _putting(Tickets, "_enter_table", _entered_by_store)
last_forgotten = _putting(Tickets, "_is_over", _last_forgotten)
unfinished_forgotten = _putting(Tickets, "_is_over", _unfinished_forgotten)
last_not_listed = _putting(Tickets, "unfinished", _last_not_listed)
one_look = _putting(Tickets, "lost", _one_look)
done_too_soon = _putting(Draws, "__init__", _done_too_soon)
unfilled = _putting(_named, "_create", _unfilled)
made_at_its_name = _putting(_named, "_create", _made_at_its_name)
replaced = partial(patch.object, _named_files._Os, "link", staticmethod(_replacing), create=True)
unlocked = _putting(_named, "fcntl", SimpleNamespace(LOCK_EX=0, flock=lambda *_: None))
unlooked = _putting(_named, "unlink_if", _unlooked)
any_file = _putting(NamedFile, "_is", lambda *_: True)
