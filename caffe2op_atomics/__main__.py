"""``python -m caffe2op_atomics --library`` prints where the op library is."""

from __future__ import annotations

import argparse

from . import __version__, library_path


def main() -> None:
    """Answer what was asked on the command line."""
    parser = argparse.ArgumentParser(prog="caffe2op_atomics", description=__doc__)
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--library", action="store_true", help="print the path of the op library")
    asked.add_argument("--version", action="version", version=__version__)
    parser.parse_args()
    print(library_path())


if __name__ == "__main__":
    main()
