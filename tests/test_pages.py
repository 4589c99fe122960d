"""The code on the pages of the documentation runs, and prints what its comments say."""

from __future__ import annotations

import copy
import doctest
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
from support import needs_compiler, run_processes

import caffe2op_atomics as atomics

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCED = re.compile(r'(?ms)^( *)```([\w+]*)(?: title="(.*?)")?\n(.*?)^\1```$')


def blocks(page: Path) -> list[tuple[str, str, str]]:
    found = FENCED.findall(page.read_text())
    return [(language, title, dedent(code)) for _, language, title, code in found]


def programs(page: Path) -> Iterator[tuple[str, str]]:
    """Files by their titles, and the rest of a page's code in one, by the name of the page."""
    rest = []
    for language, title, code in blocks(page):
        if language == "python" and title.endswith(".py"):
            yield title, code
        elif language == "python" and title != "TensorFlow":
            rest.append(code)
    if rest:
        yield str(page.relative_to(ROOT)), "\n".join(rest)


PROGRAMS = dict(program for page in PAGES for program in programs(page))

# What some pages, which show parts of a program, take for known.
PARTS = {f"docs/{page}.md" for page in ("compile", "guarantees", "sharing", "training")}
GIVEN: dict[str, Any] = {
    "atomics": atomics,
    "batch": torch.ones(2, 4),
    "copy": copy,
    "done": atomics.AtomicBool(),
    "gradients": [torch.ones(2)],
    "loss": lambda model, batch: model(batch).sum(),
    "model": torch.nn.Linear(4, 3),
    "mp": mp,
    "torch": torch,
    "weights": [atomics.GuardedTensor([2])],
    "words": torch.tensor([1, 2]),
    "work": torch.relu,
    "x": torch.ones(2),
}

TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
# With their options. What processes that do not fork import has to be a file that is run.
UNDER_TORCHRUN = ("ranks.py", "store.py", "replica.py", "replica_optimizer.py")
OF_THEIR_OWN = {"spawn.py": []} | dict.fromkeys(UNDER_TORCHRUN, TORCHRUN)
ALONE = {*OF_THEIR_OWN, "README.md", "actors.py"}


def assert_says(code: str, printed: str) -> None:
    said = "".join(f"{line}\n" for line in re.findall(r"(?m)^ *print\(.*\)  # (.*)$", code))
    assert doctest.OutputChecker().check_output(said, printed, doctest.ELLIPSIS), printed


@pytest.fixture
def forks() -> Iterator[None]:
    before = mp.get_start_method()
    mp.set_start_method("fork", force=True)
    yield
    mp.set_start_method(before, force=True)


@pytest.mark.parametrize("title", [title for title in PROGRAMS if title not in ALONE])
def test_code_prints_what_it_says(title, tmp_path, capsys, forks):
    if torch.version.cuda and "backward()" in PROGRAMS[title] and title not in PARTS:
        # A torch for CUDA refuses it in a forked child of who did it before, as other tests do.
        assert_says(PROGRAMS[title], run_file(tmp_path, title))
        return
    script = tmp_path / "script.py"
    script.write_text(PROGRAMS[title])
    runpy.run_path(str(script), GIVEN if title in PARTS else None, "__main__")
    assert_says(PROGRAMS[title], capsys.readouterr().out)


def run_file(folder: Path, title: str, *options: str) -> str:
    script = folder / Path(title).with_suffix(".py").name
    script.write_text(PROGRAMS[title])
    return subprocess.run(
        [sys.executable, *options, script],
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "RAY_AUTH_MODE": "disabled"},
    ).stdout


@pytest.mark.timeout(240)
@pytest.mark.parametrize("title", OF_THEIR_OWN)
def test_file_prints_what_it_says(title, tmp_path):
    assert_says(PROGRAMS[title], run_file(tmp_path, title, *OF_THEIR_OWN[title]))


@pytest.mark.timeout(240)
def test_readme_code_runs(tmp_path):
    first, last = run_file(tmp_path, "README.md").splitlines()
    assert first.startswith("200,000 updates by 2 workers: ")
    assert re.fullmatch(r"Counter\(value=\d+\) GuardedTensor\(.*\) tensor\(True\)", last)


def act(rank: int, script: Path, name: str) -> None:
    runpy.run_path(str(script))["Worker"](name).work()


@pytest.mark.filterwarnings("ignore::caffe2op_atomics.LeftoverWarning")
def test_actors_of_ray_count_as_plain_processes(name, tmp_path):
    script = tmp_path / "actors.py"
    script.write_text(PROGRAMS["actors.py"])
    run_processes(2, act, script, name)
    assert atomics.Counter(name=name).value == 2000


def test_actors_of_ray_count(tmp_path):
    pytest.importorskip("ray")
    assert_says(PROGRAMS["actors.py"], run_file(tmp_path, "actors.py"))


@needs_compiler
def test_cpp_program_counts(name, tmp_path):
    (code,) = (code for _, title, code in blocks(ROOT / "docs/sharing.md") if title == "steps.cpp")
    source, program = tmp_path / "steps.cpp", tmp_path / "steps"
    source.write_text(code.replace('".steps"', f'".{name}"'))
    flags = ["-std=c++20", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}/csrc"]
    subprocess.run(["c++", *flags, source, "-o", program], check=True, timeout=100)
    steps = atomics.Counter(10, name=name)
    subprocess.run([program], check=True, timeout=100)
    assert steps.value == 11


WITH_SESSIONS = [page for page in PAGES if ">>> " in page.read_text()]


@pytest.mark.parametrize("page", WITH_SESSIONS, ids=lambda page: page.name)
def test_session_prints_what_it_says(page):
    known = {**vars(atomics), "torch": torch}
    for _, _, code in blocks(page):
        session = doctest.DocTestParser().get_doctest(code, known, page.name, None, None)
        assert doctest.DocTestRunner().run(session).failed == 0
