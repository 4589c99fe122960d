"""is_supported says what this machine does with an op: how wide, and over which links."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from caffe2op_atomics import _library, _support, is_supported

ROOT = Path(__file__).parent.parent


def test_width_is_that_of_the_widest_instruction():
    word = _support.word()
    for op, dtype, width in [
        ("add_", torch.float32, word),
        ("fetch_xor", torch.bool, word),
        ("exchange", torch.float64, word),
        ("index_add_", torch.bfloat16, word),
        ("index_exchange", torch.int64, word),
        ("load", torch.int8, 8),
        ("store_", torch.float64, 8),
        ("load.int", torch.int8, 1),
        ("add_.float", torch.float16, 2),
        ("compare_exchange", torch.int32, 4),
        ("fetch_add_below", torch.float64, 8),
        ("fetch_add_checked.int", torch.int16, 2),
        ("index_compare_exchange", torch.uint8, 1),
        ("check_atomic_bool", torch.int32, 4),
    ]:
        assert is_supported(op, dtype).width == width


def test_word_is_the_one_that_the_library_finds(tmp_path):
    program = tmp_path / "wide"
    header = ROOT / "csrc" / "cpu" / "wide.h"
    source = f'#include "{header}"\nint main() {{ return atomics::cpu::has_wide() ? 16 : 8; }}'
    build = ["c++", "-std=c++20", "-x", "c++", "-", "-o", str(program)]
    subprocess.run(build, input=source, text=True, check=True, timeout=100)
    assert subprocess.run([program], check=False, timeout=100).returncode == _support.word()


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        ("processor\t: 0\nflags\t\t: fpu cx16 sse 3dnowprefetch\n", 16),
        ("flags\t\t: fpu cx16 sse\n", 8),
        ("flags\t\t: 3dnowprefetch sse\n", 8),
        ("Features\t: fp asimd atomics\n", 16),
        ("Features\t: fp asimd\n", 8),
        ("nothing\n", 8),
    ],
)
def test_word_follows_the_flags_of_the_processor(monkeypatch, lines, word):
    monkeypatch.setattr(Path, "read_text", lambda path: lines)
    assert _support.word.__wrapped__() == word


def test_memory_of_the_host_needs_a_link_with_atomics(monkeypatch):
    def ask(op: str, dtype: torch.dtype = torch.int64) -> _support.Support:
        return is_supported(op, dtype, "cuda:1", host_memory=True)

    monkeypatch.setattr(_support, "has_own_kernel", lambda *_: True)
    monkeypatch.setattr(_library, "cuda_library", None)
    assert str(ask("add_")) == (
        "not supported: add_ beside the host depends on the GPU, and none is there"
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    made_of: set[tuple[bytes, bool, int, int]] = set()
    library = SimpleNamespace(atomics_updates_host=lambda *asked: int(asked in made_of))
    monkeypatch.setattr(_library, "cuda_library", library)
    why = "beside the host needs its atomic over the link to the GPU, which cuda:1 does not have"
    for op in ("add_", "fetch_add.int", "index_add_"):
        assert ask(op).why == f"{op} {why}"
    assert ask("load", torch.uint8)
    assert ask("store_")
    assert ask("store_.int", torch.int16)
    assert not ask("store_", torch.int8)  # is stored with its neighbours
    assert not ask("fetch_xor", torch.float32)
    made_of.add((b"add_", False, 8, 1))
    assert ask("add_") == is_supported("add_", torch.int64, "cuda")
    assert ask("add_.int")
    assert not ask("fetch_add")
    assert not ask("add_", torch.int32)
    assert not ask("add_", torch.float64)
    with pytest.raises(ValueError, match=r"^is_supported: host_memory must be False for cpu, got"):
        is_supported("add_", torch.int64, host_memory=True)
