"""The whole op library built for ThreadSanitizer, and for AddressSanitizer and UBSan."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from _fuzz import fuzz
from _part import ROOT, Part, Result, output_of

HERE = ROOT / "tests" / "verify" / "sanitizers"
CONTROL = HERE / "control.cpp"
REPORT = re.compile(r"SUMMARY: \w+Sanitizer: (.+)|(runtime error: .+)")


@dataclass(frozen=True)
class Sanitizer:
    """How to compile for it, and what a process needs that loads what was compiled."""

    name: str
    flags: str
    libraries: Sequence[str]
    options: dict[str, str]


THREAD = Sanitizer(
    "tsan",
    "-fsanitize=thread",
    ["libtsan.so"],
    {"TSAN_OPTIONS": f"exitcode=66 suppressions={HERE / 'tsan.supp'}"},
)
ADDRESS = Sanitizer(
    "asan",
    # Python's own flags, which setuptools adds, let signed numbers wrap: nothing would be reported.
    "-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-wrapv",
    # The interpreter links no libstdc++, whose exceptions are watched from the start.
    ["libasan.so", "libstdc++.so"],
    {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"},
)


def build(sanitizer: Sanitizer, folder: Path) -> dict[str, str]:
    """Build as setup.py does, and the control with it; return the environment to use it in."""
    tree = folder / sanitizer.name
    for each in ("csrc", "caffe2op_atomics"):
        shutil.copytree(ROOT / each, tree / each, ignore=shutil.ignore_patterns("*.so", "__pyc*"))
    for each in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / each, tree)
    shutil.copy(CONTROL, tree / "csrc" / "cpu")

    # After the flags of setup.py. Less optimisation, for the time it takes; what is instrumented
    # makes the compiler warn of variables that are not initialised and are.
    compiler = tree / "c++"
    flags = f"-O1 -g1 -Wno-error {sanitizer.flags}"
    compiler.write_text(f'#!/bin/sh\nexec g++ "$@" {flags}\n')
    compiler.chmod(0o755)
    linker = f"{compiler} -shared"
    command = [sys.executable, "setup.py", "build_ext", "--inplace"]
    compilers = {"CC": compiler, "CXX": compiler, "LDSHARED": linker, "LDCXXSHARED": linker}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # ninja is there
    output_of(command, cwd=tree, env={**os.environ, **compilers, "PATH": path})

    found = [output_of(["g++", f"-print-file-name={each}"]).strip() for each in sanitizer.libraries]
    if sanitizer is THREAD and b"pthread_mutex_clocklock" not in Path(found[0]).read_bytes():
        found.append(str(folder / "clocklock.so"))
        output_of(["g++", "-shared", "-fPIC", HERE / "clocklock.cpp", "-o", found[-1]])
    folders = [tree, ROOT / "tests", ROOT / "tests" / "verify", HERE]
    return {
        **os.environ,
        **sanitizer.options,
        "LD_PRELOAD": " ".join(found),
        "PYTHONPATH": ":".join(map(str, folders)),
    }


def drive(what: str, environment: dict[str, str]) -> tuple[str, str]:
    """Return what it printed, and what the sanitizer reported, or how it ended."""
    command = [sys.executable, "-W", "ignore", HERE / "drive.py", what]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    reports = ["".join(groups) for groups in REPORT.findall(done.stderr)]
    if done.returncode != 0 and not reports:
        reports = [f"it ended with {done.returncode}: {done.stderr[-2000:]}"]
    return done.stdout.strip(), "; ".join(dict.fromkeys(reports)) or "nothing"


def control(what: str, title: str, sign: str, environment: dict[str, str]) -> Result:
    _, found = drive(what, environment)
    reported = sign in found
    return Result(f"control: {title}", "one run", sign if reported else found, reported)


def run(folder: Path, seconds: float) -> list[Result]:
    threads = build(THREAD, folder)
    calls, races = drive("all", threads)
    memory = build(ADDRESS, folder)
    same_calls, errors = drive("all", memory)
    name = "AddressSanitizer and UndefinedBehaviorSanitizer"
    return [
        Result("ThreadSanitizer: every op, from three threads", calls, races, races == "nothing"),
        control("racy", "a plain addition from three threads", "data race", threads),
        control("two_banks", "a guarded op under three banks", "data race", threads),
        Result(f"{name}: the same calls", same_calls, errors, errors == "nothing"),
        fuzz(folder, min(seconds, 120), memory),
        control("read_past_the_end", "a read past the end", "heap-buffer-overflow", memory),
        control("read_misaligned", "a misaligned read", "misaligned address", memory),
        control("overflow", "a sum past int64", "signed integer overflow", memory),
    ]


PART = Part(
    name="sanitizers",
    title="Sanitizers",
    about=(
        "The op library as `setup.py` builds it, with ThreadSanitizer in one build and "
        "AddressSanitizer and UndefinedBehaviorSanitizer in another, under the torch that is "
        "installed, which is not instrumented. Large calls and scripted loops, which hold no GIL, "
        "for its hand-over would order the threads; each op beside itself and beside another. No "
        "report of this library is suppressed. torch's own threads are off: their barriers are not "
        "seen. ThreadSanitizer does not see other processes, nor that two mappings are one memory: "
        "what processes share is up to the other parts. In its build the 16-byte swap is the "
        "compiler's instead of the one by hand, which it cannot see; methods of the classes in "
        "`_fast` hold the GIL, which orders them."
    ),
    run=run,
    needs=[("g++", "g++")],
)
