"""Show in three screens what shared state loses, and that it need not.

Counting, the death of a lock's holder, and training in which nobody waits for anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import hogwild_digits
import killed_holder
import word_counts
from _screen import console, parser

Screen: TypeAlias = Callable[[Sequence[str]], int]

SCREENS: dict[str, Screen] = {
    "1. Counting the same words": word_counts.main,
    "2. Death of the holder of a lock": killed_holder.main,
    "3. Training one network": hogwild_digits.main,
}


def main() -> int:
    """Show all screens, and return 0 if the package did on each what it promises."""
    options = parser(__doc__).parse_args()
    shared = [
        f"--workers={options.workers}",
        f"--start-method={options.start_method}",
        f"--out={options.out}",
    ]
    failed = []
    for title, screen in SCREENS.items():
        console.print()
        console.rule(f"[bold]{title}")
        console.print()
        if screen(shared) != 0:
            failed.append(title)
    for title in failed:
        console.print(f"[red]Failed: {title}")
    return int(bool(failed))


if __name__ == "__main__":
    raise SystemExit(main())
