"""The kernels for GPUs as nvcc compiles them, run on the CPU instruction by instruction."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from _part import ROOT, Part, Result
from _ptx_mistakes import MISTAKES, with_mistake

sys.path.insert(0, str(ROOT / "tests"))

from emulation import GIVEN, KERNELS, build

HERE = Path(__file__).parent
MACHINE = HERE / "ptx"
COMPARISONS = (ROOT / "tests" / "test_cuda_on_cpu.py", HERE / "ptx_calls.py")
ARCHITECTURES = (80, 90, 100)  # additions of 16 bytes since 90; another compiler for 100
OF_MISTAKES = 90
# Those that other threads notice, and the joint ones of a warp.
NOTICED = re.compile(r"atom|red\.|fence|membar|(ld|st)\.(relaxed|acquire)|vote|match|shfl")


def compile_kernels(folder: Path) -> Path:
    """Return a library of them, in which a launch runs PTX, and leave their PTX in the folder."""
    compiler = ["nvcc", "-O3", "--expt-relaxed-constexpr", "--keep", "--keep-dir", folder]
    for arch in ARCHITECTURES:
        compiler += ["-gencode", f"arch=compute_{arch},code=compute_{arch}"]
    compiler += ["-Xcompiler=-fPIC,-fvisibility=hidden,-w,-O1"]
    # Without the one for tests of the machine.
    machine = [path for path in MACHINE.glob("*.cpp") if path.name != "run.cpp"]
    library = build(compiler, [*KERNELS, *machine], folder)
    for arch in ARCHITECTURES:
        (folder / str(arch)).mkdir()
        for path in folder.glob(f"*.compute_{arch}.ptx"):
            path.rename(folder / str(arch) / path.name)
    return library


@dataclass(frozen=True)
class Run:
    """How a run of comparisons ended: what pytest printed, and the machine's report."""

    code: int
    printed: str
    report: str

    def count(self, *outcomes: str) -> int:
        """Return how many comparisons passed, failed ..."""
        found = re.findall(rf"(\d+) (?:{'|'.join(outcomes)})", self.printed.rpartition("\n")[2])
        return sum(map(int, found))

    @property
    def result(self) -> str:
        if self.code != 0:
            print(self.printed, file=sys.stderr)
        return "nothing" if self.code == 0 else f"how they differ: {self.printed[-200:]!r}"

    def kernels(self) -> Iterator[tuple[str, int]]:
        """Yield the name of each kernel and how often it ran."""
        for line in self.report.splitlines():
            kind, name, *counts = line.split("\t")
            if kind == "kernel":
                yield name, int(counts[0])

    def instructions(self) -> dict[str, tuple[int, int, int]]:
        """Return by name how many there are, how many of them were done, and how often."""
        lines = (line.split("\t") for line in self.report.splitlines())
        return {
            name: (int(counts[0]), int(counts[1]), int(counts[2]))
            for name, *counts in lines
            if name != "kernel"
        }


def compare(library: Path, kernels: Path, seed: int, *arguments: str | Path) -> Run:
    """Run comparisons with the turns of a seed, or in order if it is 0."""
    report = library.parent / f"{kernels.name}.{seed}.report"
    environment = {
        **os.environ,
        GIVEN: str(library),
        "PTX_KERNELS": str(kernels),
        "PTX_SEED": str(seed),
        "PTX_REPORT": str(report),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    return Run(done.returncode, done.stdout.strip(), report.read_text() if report.exists() else "")


def in_order(library: Path, arch: int) -> list[Result]:
    run = compare(library, library.parent / str(arch), 0, *COMPARISONS)
    kernels = dict(run.kernels())
    instructions = run.instructions()
    never = {name for name, (_, done, _) in instructions.items() if done == 0}
    noticed = {name: count for name, count in instructions.items() if NOTICED.match(name)}
    there, done = (sum(count[k] for count in noticed.values()) for k in range(2))
    ran = sum(count > 0 for count in kernels.values())
    return [
        Result(
            f"sm_{arch}: all ops, dtypes, layouts, both scopes, in order, beside the CPU's kernels",
            f"{run.count('passed'):,} comparisons",
            run.result,
            run.code == 0,
        ),
        Result(
            f"sm_{arch}: what that ran of what nvcc made",
            f"{ran:,} of {len(kernels):,} kernels, {len(instructions) - len(never):,} of "
            f"{len(instructions):,} kinds of instructions, {done:,} of {there:,} atomics, fences "
            "and joint ones of a warp",
            f"not run: {', '.join(sorted(never)) or 'nothing'}",
            ran == len(kernels) and not never & noticed.keys(),
        ),
    ]


def at_random(library: Path, arch: int, seconds: float) -> Result:
    end = time.monotonic() + seconds
    seeds = steps = 0
    while True:
        seeds += 1
        run = compare(library, library.parent / str(arch), seeds, HERE / "ptx_calls.py")
        steps += sum(times for _, _, times in run.instructions().values())
        if run.code != 0 or time.monotonic() > end:
            break
    return Result(
        f"sm_{arch}: the same, and rows that meet, in random turns",
        f"{seeds} seeds, each of {run.count('passed'):,} comparisons; {steps / 1e6:,.0f} million "
        "instructions",
        run.result,
        run.code == 0,
    )


def control(library: Path, number: int) -> Result:
    mistake = MISTAKES[number]
    folder = library.parent
    kernels = with_mistake(mistake, folder / str(OF_MISTAKES), folder / f"mistake{number}")
    run = compare(library, kernels, 1, HERE / "ptx_calls.py", "-k", mistake.tests)
    found = run.code == 1  # not by an error of pytest's own
    return Result(
        f"control: {mistake.what}",
        f"{run.count('passed', 'failed', 'error')} comparisons",
        f"by {run.count('failed', 'error')} of them" if found else run.result,
        found,
    )


def run(folder: Path, seconds: float) -> Sequence[Result]:
    library = compile_kernels(folder)
    with ThreadPoolExecutor(2) as pool:
        ordered = pool.map(lambda arch: in_order(library, arch), ARCHITECTURES)
        results = [result for each in ordered for result in each]
        results += pool.map(lambda arch: at_random(library, arch, seconds / 2), ARCHITECTURES)
        results += pool.map(lambda number: control(library, number), range(len(MISTAKES)))
    return results


PART = Part(
    name="ptx",
    title="Kernels for GPUs, as compiled",
    about=(
        "The kernels for GPUs have never run on a card. Here nvcc compiles them, without one, and "
        "the PTX that it makes, all that it gives to the assembler of a GPU, runs on the CPU, "
        "instruction by instruction: inline assembly, libcu++'s atomics, conversions, votes and "
        "shuffles. Threads of all blocks, and of two kernels at once, take turns at random before "
        "each instruction that others can see, and elements of a vector are added one by one. "
        "Addresses that are not aligned, lanes that do not meet and what is not known end a run. "
        "What memory holds after a call is compared with what the CPU's kernels leave; what "
        "several sources or two calls change has to be what some order leaves. Each mistake that "
        "was put there has to be found. What this cannot show: the assembler's own work, the "
        "hardware, speed, and the reordering that the memory model allows, as an instruction here "
        "is seen by all at once."
    ),
    run=run,
    needs=(("nvcc", "nvidia-cuda-toolkit"), ("g++", "g++")),
)
