"""Show live, from a process of its own, how many requests a server has counted.

sidecar.py NAME, before the server or beside it. Ends when somebody sets the flag NAME.stop.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import caffe2op_atomics as atomics


def main(argv: Sequence[str] | None = None) -> None:
    """Print the count now and then, and at the end."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("name", help="of the counter")
    arguments.add_argument("--every", type=float, default=0.2, help="seconds between two looks")
    options = arguments.parse_args(argv)

    stop = atomics.AtomicBool(name=options.name + ".stop")
    requests = atomics.Counter(name=options.name)
    while not stop.wait(options.every):
        print(f"sidecar: {requests.value:,} requests so far", flush=True)
    print(f"sidecar: {requests.value:,} requests in all", flush=True)


if __name__ == "__main__":
    main()
