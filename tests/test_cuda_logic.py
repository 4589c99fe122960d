"""What csrc/cuda calculates by itself is right, compiled for the CPU, without CUDA headers."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support import TIMEOUT


def test_index_maths_words_and_group_sums(tmp_path):
    program = tmp_path / "cuda_logic"
    source = Path(__file__).parent / "cuda_logic.cpp"
    subprocess.run(["c++", "-std=c++20", "-O1", "-pthread", source, "-o", program], check=True)
    result = subprocess.run([program], capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert result.returncode == 0, result.stdout
    assert [line.split()[1] for line in result.stdout.splitlines()] == [
        "walk",
        "quotient",
        "words",
        "warp",
    ]
