"""Verifies what tests cannot: all interleavings, sanitizers, storms; writes docs/verification.md.

    make verify
    python tests/verify/run.py [--only NAME ...] [--seconds SECONDS] [--write]

Parts whose programs are not installed are left out, and the page says so. With --only, --write
replaces what the page has of those parts, if it was written with the same versions.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import _commands
import _fuzz
import _histories
import _kills
import _protocols
import _ptx
import _relacy
import _sanitizers
import _spin
import _store_protocols
from _part import ROOT, Part, Result

from caffe2op_atomics._system import versions

sys.path.append(str(ROOT / "benchmarks"))
from _page import section_of

PARTS: Sequence[Part] = (
    _relacy.PART,
    _spin.PART,
    _protocols.PART,
    _store_protocols.PART,
    _histories.PART,
    _ptx.PART,
    _sanitizers.PART,
    _fuzz.PART,
    _kills.PART,
    _commands.PART,
)

PAGE = ROOT / "docs" / "verification.md"


def main() -> int:
    """Run the parts that were asked for, and return whether one found what it must not."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=[part.name for part in PARTS], default=[])
    parser.add_argument(
        "--seconds", type=float, default=600, help="of each part whose length can be chosen (600)"
    )
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    arguments = parser.parse_args()
    page = PAGE.read_text() if arguments.only else ""
    if arguments.only and arguments.write and versions() not in page:
        parser.error(f"--write must be of all parts, or with what the page has: {versions()}")

    sections: dict[str, str] = {}
    failed = False
    for part in PARTS:
        if arguments.only and part.name not in arguments.only:
            continue
        print(f"{part.name} ...", file=sys.stderr, flush=True)
        missing = part.missing()
        if missing:
            sections[part.name] = _heading(part) + f"Not run here: needs {', '.join(missing)}.\n"
        else:
            began = time.monotonic()
            with tempfile.TemporaryDirectory() as folder:
                results = part.run(Path(folder), arguments.seconds)
            failed = failed or not all(result.as_expected for result in results)
            sections[part.name] = _heading(part) + _table(results, time.monotonic() - began)
        print(sections[part.name], flush=True)
    if arguments.write:
        written = [sections.get(part.name) or section_of(page, part.title) for part in PARTS]
        PAGE.write_text("\n".join([_introduction(), *written]))
    return int(failed)


def _introduction() -> str:
    return (
        "# What was verified, and how\n\n"
        f"Written by `make verify`; not typed. Each part is of one run, with {versions()}.\n"
    )


def _heading(part: Part) -> str:
    return f"## {part.title}\n\n{part.about}\n\n"


def _table(results: Sequence[Result], seconds: float) -> str:
    rows = [
        f"| {result.what} | {result.how_much} | {result.found}"
        f"{'' if result.as_expected else ': **not as it has to be**'} |"
        for result in results
    ]
    lines = ["| what | how much | found |", "|---|---|---|", *rows]
    return "\n".join(lines) + f"\n\n{seconds:.0f} seconds.\n"


if __name__ == "__main__":
    sys.exit(main())
