"""The examples run, in every way they offer, and say that ours lost nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import needs_compiler

ROOT = Path(__file__).parent.parent


def run(script: str, *options: str, timeout: float = 200) -> str:
    result = subprocess.run(
        [sys.executable, ROOT / script, *options],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, "COLUMNS": "80"},
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.timeout(240)
@pytest.mark.parametrize("options", [(), ("--workers", "4"), ("--start-method", "spawn")])
def test_word_counts(options, tmp_path):
    out = run("examples/word_counts.py", "--passes", "20", "--out", str(tmp_path), *options)
    assert "words lost" in out
    assert list(tmp_path.glob("*.png"))


@pytest.mark.timeout(240)
@pytest.mark.parametrize("options", [(), ("--start-method", "spawn")])
def test_multi_gpu_aggregate(options):
    """On the CPU, where there is no GPU."""
    out = run("examples/multi_gpu_aggregate.py", "--steps", "100", *options)
    assert "Of the atomic additions, none is missing." in out


@pytest.mark.timeout(240)
@pytest.mark.parametrize("options", [(), ("--start-method", "spawn")])
def test_killed_holder(options, tmp_path):
    out = run("examples/killed_holder.py", "--out", str(tmp_path), *options)
    assert "OwnerDiedError" in out


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "options", [(), ("--start-method", "spawn"), ("--start-method", "forkserver"), ("--threads",)]
)
def test_hogwild_digits(options, tmp_path):
    out = run("examples/hogwild_digits.py", "--epochs=15", "--out", str(tmp_path), *options)
    assert "what differs is updates applied, steps, and survival" in " ".join(out.split())
    assert list(tmp_path.glob("*.png"))


FORK_AFTER_INTRA_OP_THREADS = """
import sys, torch
sys.path.insert(0, sys.argv.pop(1))
import hogwild_digits
torch.set_num_threads(2)
torch.zeros(10_000_000).add_(1)  # a forked child that did the same would hang
raise SystemExit(hogwild_digits.main(sys.argv[1:]))
"""


@pytest.mark.timeout(240)
def test_hogwild_digits_works_after_the_parent_used_intra_op_threads(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(FORK_AFTER_INTRA_OP_THREADS)
    run(str(script), str(ROOT / "examples"), "--epochs=15", "--out", str(tmp_path))


@pytest.mark.timeout(240)
@pytest.mark.parametrize("options", [(), ("--start-method", "spawn")])
def test_running_stats(options, tmp_path):
    out = run("examples/running_stats.py", "--passes", "20", "--out", str(tmp_path), *options)
    assert "mean wrong" in out


@pytest.mark.timeout(240)
@pytest.mark.parametrize("options", [(), ("--start-method", "spawn")])
def test_a3c_cartpole(options, tmp_path):
    out = run("examples/a3c_cartpole.py", "--steps", "2000", "--out", str(tmp_path), *options)
    assert "updates, and Adam counted" in out


@pytest.mark.timeout(240)
@pytest.mark.parametrize("options", [(), ("--start-method", "spawn")])
def test_embeddings(options, tmp_path):
    short = ("--epochs", "1", "--words", "100000")
    out = run("examples/embeddings.py", *short, "--out", str(tmp_path), *options)
    assert "Each word of the text was trained on exactly once" in out


@needs_compiler
@pytest.mark.timeout(240)
def test_serving_cpp(tmp_path):
    options = ("--requests", "200000", "--out", str(tmp_path))
    out = run("examples/serving_cpp/serving.py", *options)
    ours = out.split("torch.ops.atomics.add_")[1]
    assert "counted 200000, lost 0\n" in ours
    seen = [int(count.replace(",", "")) for count in re.findall(r"sidecar: ([\d,]+)", ours)]
    assert seen == sorted(seen)
    assert seen[-1] == 200_000
    assert any(0 < count < 200_000 for count in seen)  # live


def test_benchmark_of_the_usual_ways():
    out = run("benchmarks/usual_ways.py", "--calls", "500", "--workers", "2")
    assert "counter += 1" in out


@pytest.mark.timeout(240)
def test_benchmark_of_the_lockfree_ops(tmp_path):
    picture = tmp_path / "speed.png"
    out = run("benchmarks/lockfree.py", "--seconds", "0.001", "--plot", str(picture), "--json")
    rows = json.loads(out)["rows"]
    assert {row["note"] for row in rows} <= {"", "not installed"}
    assert all(row["ours"] > 0 for row in rows)
    assert {row["lost"] for row in rows} == {None, 0}
    assert picture.stat().st_size


@pytest.mark.timeout(240)
@pytest.mark.parametrize("only", ["words", "60 small", "rows of 64"])
def test_benchmark_of_the_guarded_ops(only, tmp_path):
    picture = tmp_path / "guarded.png"
    options = ("--seconds", "0.001", "--only", only, "--plot", str(picture), "--json")
    rows = json.loads(run("benchmarks/guarded.py", *options))["rows"]
    assert all(row["ours"] > 0 for row in rows)
    assert {row["lost"] for row in rows} <= {None, 0}
    assert picture.stat().st_size


@needs_compiler
@pytest.mark.timeout(240)
def test_benchmark_of_compiled_steps():
    options = ("--seconds", "0.001", "--only", "a known gradient", "--json")
    rows = json.loads(run("benchmarks/compile.py", *options))["rows"]
    assert {row["lost"] for row in rows} == {0}
    exact = [row for row in rows if row["against"].endswith("exact")]
    assert {row["theirs_lost"] for row in exact} == {0}
    assert all(row["spread"][0] <= row["spread"][1] for row in rows)
