"""Changes of what nvcc makes of the kernels for GPUs, each of which _ptx.py has to find."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mistake:
    """A change of PTX that the comparisons have to find.

    Attributes:
        what: what it is.
        pattern: what is replaced in all kernels,
        by: and by what; `%word`, `%long` and `%same` are registers of its own.
        tests: which comparisons are to find it, as pytest's -k.
    """

    what: str
    pattern: str
    by: str
    tests: str


MISTAKES = (
    Mistake(
        "two elements of an addition of 16 bytes change places",
        r"(red\.\w+\.sys\.global\.add\.v4\.f32 \S+, \{)(%\w+), (%\w+),",
        r"\1\3, \2,",
        "alpha and float32",
    ),
    Mistake(
        "float16 is added as bfloat16",
        r"\.v4\.f16x2",
        ".v4.bf16x2",
        "alpha and float16",
    ),
    Mistake(
        "a minimum for a maximum",
        r"(red\.\w+\.sys\.global)\.max\.s32",
        r"\1.min.s32",
        "max_ and int32",
    ),
    Mistake(
        "an addition of the device's scope for one of the system's",
        r"red\.relaxed\.sys\.global\.add\.u32",
        "red.relaxed.gpu.global.add.u32",
        "add_ and int32",
    ),
    Mistake(
        "a load and a store for an addition",
        r"red\.relaxed\.(\w+)\.global\.add\.u32 (\S+), (%\w+);",
        r"ld.relaxed.\1.b32 %word, \2; add.s32 %word, %word, \3; st.relaxed.\1.b32 \2, %word;",
        "lose_no_addition and int32",
    ),
    Mistake(
        "a load, a comparison and a store for a swap, also of neighbours of 8 and 16 bits",
        r"atom\.cas\.relaxed\.(\w+)\.b32 (%\w+),(\S+?),(%\w+),(%\w+);",
        r"ld.relaxed.\1.b32 %word, \3; setp.eq.s32 %same, %word, \4;"
        r" @%same st.relaxed.\1.b32 \3, \5; mov.u32 \2, %word;",
        "layouts and fetch_add and int8",
    ),
    Mistake(
        "the same for a swap of 8 bytes, from two kernels at once",
        r"atom\.cas\.relaxed\.(\w+)\.b64 (%\w+),(\S+?),(%\w+),(%\w+);",
        r"ld.relaxed.\1.b64 %long, \3; setp.eq.s64 %same, %long, \4;"
        r" @%same st.relaxed.\1.b64 \3, \5; mov.u64 \2, %long;",
        "two_calls and fetch_add",
    ),
    Mistake(
        "an address of 8 bits where 16 are loaded",
        r"and\.b64(\s+%\w+, %\w+), -2;",
        r"and.b64\1, -1;",
        "does_what_it_does and load and uint8",
    ),
    Mistake(
        "lanes that wait for others that have gone on",
        r"(match\.any\.sync\.b64\s+%\w+, %\w+), %\w+;",
        r"\1, -1;",
        "does_not_fit",
    ),
    Mistake(
        "a lane that gets another one's share",
        r"(shfl\.sync\.idx\.b32\s+%\w+\|%\w+), (%\w+), %\w+,",
        r"\1, \2, 0,",
        "tickets and int32",
    ),
)


def with_mistake(mistake: Mistake, kernels: Path, folder: Path) -> Path:
    """Return a folder of the kernels with a mistake in them."""
    changed = 0
    folder.mkdir()
    for path in kernels.iterdir():
        text, count = re.subn(mistake.pattern, mistake.by, path.read_text())
        own = ".reg .b32 %word; .reg .b64 %long; .reg .pred %same;"
        text = re.sub(r"^\)\n\{", ")\n{\n" + own, text, flags=re.M)
        (folder / path.name).write_text(text)
        changed += count
    if changed == 0:
        raise ValueError(f"nothing to replace: {mistake.pattern}")
    return folder
