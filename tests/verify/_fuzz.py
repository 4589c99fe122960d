"""Random arguments for every op: never a crash or a hang, and what is refused changes nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from _part import ROOT, Part, Result

TESTS = ROOT / "tests"
HERE = TESTS / "verify"
SHARDS = 2
CONTROLS = {
    "changes": ("an op that changes a target before it refuses", "it was changed"),
    "crashes": ("an op that ends the process", f"ended with {-signal.SIGSEGV}"),
    "hangs": ("an op that does not return", "Timeout"),
}


class Shard:
    """A process with seeds of its own, and the one that follows when it has ended."""

    def __init__(
        self,
        script: Sequence[str],
        seed: int,
        end: float,
        folder: Path,
        environment: dict[str, str],
    ) -> None:
        self.script, self.seed, self.end, self.environment = script, seed, end, environment
        self.last = folder / f"last-{seed}"
        self.output = folder / f"output-{seed}"
        self.findings: list[str] = []
        self.counts: Counter[str] = Counter()
        self.ops: set[str] = set()
        self.start()

    def start(self) -> None:
        left = max(self.end - time.monotonic(), 0)
        numbers = map(str, (self.seed, SHARDS, left, self.last))
        with self.output.open("w") as output:  # a pipe would fill while another shard is waited for
            self.process = subprocess.Popen(
                [sys.executable, "-W", "ignore", *self.script, *numbers],
                cwd=HERE,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def finish(self) -> None:
        while True:
            self.process.wait()
            lines = self.output.read_text().splitlines(keepends=True)
            rounds = [json.loads(line) for line in lines if line.startswith("{")]
            errors = "".join(line for line in lines if not line.startswith("{"))
            for each in rounds:
                self.counts.update(calls=each["calls"], refused=each["refused"])
                self.ops.add(each["op"])
            if self.process.returncode == 0:
                return
            call = self.last.read_text() if self.last.exists() else ""
            self.findings.append(f"{call}{errors[-3000:]}(ended with {self.process.returncode})")
            if time.monotonic() >= self.end or len(self.findings) == 5:
                return
            self.seed += SHARDS * (len(rounds) + 1)  # past the round that ended it
            self.start()


def environment() -> dict[str, str]:
    """Of a shard that uses the installed library."""
    return {**os.environ, "PYTHONPATH": ":".join(map(str, (ROOT, TESTS, HERE)))}


def fuzz(folder: Path, seconds: float, environment: dict[str, str]) -> Result:
    end = time.monotonic() + seconds
    shards = [Shard(["fuzz_shard.py"], k, end, folder, environment) for k in range(SHARDS)]
    for shard in shards:
        shard.finish()
    counts = sum((shard.counts for shard in shards), Counter())
    ops = set[str]().union(*(shard.ops for shard in shards))
    findings = [finding for shard in shards for finding in shard.findings]
    how_much = f"{counts['calls']:,} calls, {counts['refused']:,} of them refused"
    found = "; ".join(findings) or "nothing"
    return Result(f"random arguments for {len(ops)} ops", how_much, found, not findings)


def control(kind: str, folder: Path) -> Result:
    what, sign = CONTROLS[kind]
    shard = Shard(["fuzz_control.py", kind], 0, 0, folder, environment())
    shard.finish()
    found = any(sign in finding for finding in shard.findings)
    return Result(f"control: {what}", "one round", "it" if found else "nothing", found)


def run(folder: Path, seconds: float) -> list[Result]:
    return [
        fuzz(folder, seconds, environment()),
        *(control(kind, folder) for kind in CONTROLS),
    ]


PART = Part(
    name="fuzz",
    title="Random arguments",
    about=(
        "For every op, up to three of a good call's arguments are replaced: by tensors of other "
        "dtypes, shapes, strides, devices and kinds, in the memory of another argument or without "
        "memory, by mutexes in other states and copies of them, by other numbers and lists. No "
        "call may end the process or never return. A refused one changes no byte of an argument "
        "and leaves no mutex held; another changes none of those that it only reads."
    ),
    run=run,
)
