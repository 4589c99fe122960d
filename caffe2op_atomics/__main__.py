"""What is installed, and whether it works here: the report to paste into a bug report."""

from __future__ import annotations

import argparse
import sys

from . import __version__, _report, _self_test, _support, library_path, names


def main() -> None:
    """Answer what was asked on the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m caffe2op_atomics",
        description=f"{__doc__} Exits with 1 if its self-test fails.",
    )
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument("--no-self-test", action="store_true", help="print the report alone")
    asked.add_argument("--library", action="store_true", help="print the path of the op library")
    asked.add_argument("--support", action="store_true", help="print which op takes which dtype")
    asked.add_argument("--version", action="version", version=__version__)
    asked.add_argument("--list", action="store_true", help="list what has a name, and who uses it")
    asked.add_argument("--unlink", metavar="NAME", help="remove a name that a crashed job left")
    answer = parser.parse_args()
    if answer.list:
        print(names.report())
    elif answer.support:
        print(_support.table())
    elif answer.library:
        print(library_path())
    elif answer.unlink is None:
        print(_report.report(), flush=True)
        if not answer.no_self_test:
            sys.exit(not _self_test.run())
    else:
        try:
            removed = names.unlink_name(answer.unlink)
        except (RuntimeError, ValueError) as error:
            parser.exit(1, f"{error}\n")
        if not removed:
            parser.exit(1, f"unlink_name: there is no name {answer.unlink!r}\n")


if __name__ == "__main__":
    main()
