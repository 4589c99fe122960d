"""A page that a script writes, a section for each part; and how a part says that it cannot run."""

from __future__ import annotations

import sys
from typing import NoReturn

SKIPPED = 77  # the exit code; automake's


def section_of(page: str, title: str) -> str:
    """Return what a page has of a part, its heading included, or an empty line."""
    _, heading, after = page.partition(f"## {title}\n")
    return heading + after.split("\n## ")[0].rstrip("\n") + "\n"


def skip(reason: str) -> NoReturn:
    """End a script that cannot run here."""
    print(reason)
    sys.exit(SKIPPED)
