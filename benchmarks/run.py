"""Measures everything and writes docs/benchmarks.md, with its pictures in docs/images/.

    make bench
    python benchmarks/run.py [--only NAME ...] [--page FILE] [--quick]

Every part is a script beside this one, which says in its docstring what it measures and aims at,
and prints it with --markdown. A part that cannot run here says why on the page; one that fails
leaves the others alone. With --only, the rest of the page stays; what was measured on another
machine, or with other versions, than the top of the page has is marked. Nothing else should run
meanwhile.
"""

from __future__ import annotations

import argparse
import ast
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from _page import SKIPPED, section_of

import caffe2op_atomics as atomics
from caffe2op_atomics import _system

FOLDER = Path(__file__).parent
PAGE = FOLDER.parent / "docs" / "benchmarks.md"


@dataclass(frozen=True)
class Part:
    """A script, and what it is on the page.

    Attributes:
        name: of the script.
        title: the heading.
        options: for the page. One that ends in ``.png`` is a picture for it.
        quick: the options that show within seconds that the script runs.
    """

    name: str
    title: str
    options: str
    quick: str

    @property
    def about(self) -> str:
        """The first sentence of the script's docstring."""
        text = ast.get_docstring(ast.parse((FOLDER / f"{self.name}.py").read_text())) or ""
        return text.split("\n\n")[0]


_FAST = "--seconds 0.001"
PARTS: Sequence[Part] = (
    Part("usual_ways", "The usual ways to count", "", "--workers 2 --calls 200"),
    Part("lockfree", "Lock-free ops", "--plot lockfree.png", f"{_FAST} --only fetch_add"),
    Part(
        "guarded",
        "Guarded tensors and optimizers",
        "--seconds 0.2 --plot guarded.png --curves guarded_curves.png",
        f"{_FAST} --only 60",
    ),
    Part(
        "locks",
        "Locks and flags",
        "--seconds 0.3 --plot locks.png",
        f"{_FAST} --only is_set --plot locks.png",
    ),
    Part(
        "compile",
        "A compiled training step",
        "--seconds 0.2 --plot compile.png",
        f"{_FAST} --only gradient",
    ),
    Part(
        "distributed",
        "Several hosts",
        "--seconds 0.3 --plot distributed.png",
        f"{_FAST} --only is_set",
    ),
    Part("gpu", "Lock-free ops on a GPU", "--plot gpu.png", f"{_FAST} --only tickets"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the parts that were asked for, and return whether one failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=[part.name for part in PARTS], default=[])
    parser.add_argument(
        "--page", type=Path, default=PAGE, help="what to write (docs/benchmarks.md)"
    )
    parser.add_argument("--quick", action="store_true", help="show that all runs; measures nothing")
    arguments = parser.parse_args(argv)
    page = arguments.page.read_text() if arguments.only and arguments.page.exists() else ""
    introduction = page.split("\n\n## ")[0] or _introduction()
    remark = "" if _machine() in introduction else f" With {_machine()}."
    if arguments.quick:
        remark += " By `--quick`: it shows that it runs, the numbers mean nothing."
    sections = {part.name: section_of(page, part.title).strip("\n") for part in PARTS}
    failed = False
    for part in PARTS:
        if arguments.only and part.name not in arguments.only:
            continue
        print(f"{part.name} ...", file=sys.stderr, flush=True)
        options = _options(part.quick if arguments.quick else part.options, arguments.page.parent)
        text, code = _measure(part, options, remark)
        failed = failed or code not in (0, SKIPPED)
        sections[part.name] = text
        print(text, flush=True)
        # After each part: what was measured is not lost when the next one is interrupted.
        written = [introduction, *(text for text in sections.values() if text)]
        arguments.page.parent.mkdir(parents=True, exist_ok=True)
        arguments.page.write_text("\n\n".join(written) + "\n")
    return int(failed)


def _options(text: str, folder: Path) -> list[str]:
    options = shlex.split(text)
    return [str(folder / "images" / each) if each.endswith(".png") else each for each in options]


def _measure(part: Part, options: Sequence[str], remark: str) -> tuple[str, int]:
    """Run a script and return its section, and its exit code."""
    began = time.monotonic()
    # What it says on stderr, as of an error, is for the terminal.
    done = subprocess.run(
        [sys.executable, FOLDER / f"{part.name}.py", *options, "--markdown"],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    lines = [f"## {part.title}", part.about, done.stdout.strip("\n")]
    if done.returncode == SKIPPED:
        lines[-1] = f"Not measured here: {lines[-1]}."
    elif done.returncode != 0:
        lines.append(f"**Failed**, with exit code {done.returncode}.")
    else:
        pictures = [Path(each).name for each in options if each.endswith(".png")]
        lines += [f"![{part.title}](images/{name})" for name in pictures]
        lines.append(
            f"`benchmarks/{part.name}.py`, {time.monotonic() - began:.0f} seconds.{remark}"
        )
    return "\n\n".join(line for line in lines if line), done.returncode


def _machine() -> str:
    vectors = torch.backends.cpu.get_cpu_capability()
    return (
        f"caffe2op_atomics {atomics.__version__}, {_system.versions()}: {_system.processor()}, "
        f"vectors of torch {vectors}"
    )


def _introduction() -> str:
    return (
        "# Benchmarks\n\n"
        f"Written by `make bench`; not typed. Each part is of one run, with {_machine()}.\n\n"
        "Both sides of a row are measured in turn, several times, and the medians compared; half "
        "of the rounds lie within the quartiles. Times are of an element, where a call has many. "
        "Why they are what they are, and how runs differ: [how fast, and why](speed.md)."
    )


if __name__ == "__main__":
    sys.exit(main())
