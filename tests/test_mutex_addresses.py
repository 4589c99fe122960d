"""A mutex at an address that another one had is itself, and a byte copy there is refused.

With duplicate mappings found by address alone, each of these sequences locked, unlocked or told the
wrong mutex.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mutex_files import held_elsewhere, kill, mapped, mapped_at, new_mutex

ops = torch.ops.atomics


@pytest.fixture
def y_path(tmp_path: Path) -> Path:
    path = tmp_path / "y"
    new_mutex(path)
    return path


def test_mutex_at_a_reused_address_is_locked_itself(x_path, y_path):
    x = new_mutex(x_path)
    address = x.data_ptr()
    ops.mutex_lock(x)
    del x
    y = mapped_at(y_path, address)
    assert ops.mutex_lock(y, 0, 5) == 1
    ops.mutex_unlock(y)


def test_unlock_at_a_reused_address_does_not_unlock_the_old_mutex(x_path, y_path):
    x, alias = new_mutex(x_path), mapped(x_path)
    address = x.data_ptr()
    ops.mutex_lock(x)
    del x
    y = mapped_at(y_path, address)
    with pytest.raises(RuntimeError, match="got an unlocked one"):
        ops.mutex_unlock(y)
    assert ops.mutex_owner(alias) != 0
    ops.mutex_unlock(alias)
    assert ops.mutex_owner(alias) == 0


def test_mutex_at_the_address_of_one_held_elsewhere_is_free(x_path, y_path):
    x = new_mutex(x_path)
    address = x.data_ptr()
    with held_elsewhere(x_path):
        assert ops.mutex_try_lock(x) == 0  # makes the duplicate mapping
        del x
        y = mapped_at(y_path, address)
        assert ops.mutex_lock(y, 0, 5) == 1
        ops.mutex_unlock(y)


def test_mutex_at_the_address_of_an_orphan_does_not_swallow_the_death(x_path, y_path):
    x, alias = new_mutex(x_path), mapped(x_path)
    address = x.data_ptr()
    with held_elsewhere(x_path) as holder:
        assert ops.mutex_try_lock(x) == 0
        del x
        kill(holder)
        y = mapped_at(y_path, address)
        assert ops.mutex_lock(y, 0, 5) == 1
        ops.mutex_unlock(y)
    assert ops.mutex_lock(alias, 0, 5) == 2


@pytest.mark.parametrize("holder_dies", [False, True])
def test_byte_copy_at_the_old_address_is_refused_and_the_death_is_passed_on(
    x_path, tmp_path, holder_dies
):
    x, alias = new_mutex(x_path), mapped(x_path)
    address = x.data_ptr()
    forged = tmp_path / "copy"
    with held_elsewhere(x_path) as holder:
        assert ops.mutex_try_lock(x) == 0
        forged.write_bytes(bytes(x.untyped_storage()))
        del x
        if holder_dies:
            kill(holder)
        copied = mapped_at(forged, address)
        with pytest.raises(RuntimeError, match=r"^mutex_lock: mutex must be the memory that"):
            ops.mutex_lock(copied, 0, 5)
        if not holder_dies:
            assert ops.mutex_try_lock(alias) == 0
    # The holder is dead by now; whoever met that first, the next locker is told.
    assert ops.mutex_lock(alias, 0, 5) == 2
    ops.mutex_consistent(alias)
    ops.mutex_unlock(alias)
    assert ops.mutex_lock(alias, 0, 5) == 1


def test_byte_copy_made_while_held_here_is_refused_at_the_old_address(x_path, tmp_path):
    x, alias = new_mutex(x_path), mapped(x_path)
    address = x.data_ptr()
    forged = tmp_path / "copy"
    ops.mutex_lock(x)
    forged.write_bytes(bytes(x.untyped_storage()))  # its lock word names this thread
    ops.mutex_unlock(x)
    del x
    copied = mapped_at(forged, address)
    with pytest.raises(RuntimeError, match=r"^mutex_lock: mutex must be the memory that"):
        ops.mutex_lock(copied, 0, 5)
    assert ops.mutex_owner(alias) == 0
