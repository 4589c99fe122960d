"""Serve a model from C++ and watch its count of requests from Python, live, by name.

Builds serve.cpp, saves the models of model.py, and runs the server beside sidecar.py: once with a
model that counts as one usually writes it, and once with one that counts atomically.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import model
from _build import build

import caffe2op_atomics as atomics

HERE = Path(__file__).parent
WAYS = {"racy.pt": "self.requests += 1", "digits.pt": "torch.ops.atomics.add_(self.requests, 1)"}


def serve(out: Path, saved: str, requests: int) -> int:
    """Run the server beside the sidecar; return its exit code, 0 if its count was exact."""
    name = f"serving.{os.getpid()}"
    with subprocess.Popen([sys.executable, HERE / "sidecar.py", name]) as sidecar:
        try:
            while name not in {info.name for info in atomics.list_names()}:  # it is not there yet
                if sidecar.poll() is not None:
                    raise RuntimeError(f"the sidecar ended with {sidecar.returncode}")
                time.sleep(0.1)
            files = [out / "serve", atomics.library_path(), out / saved, out / "images.pt"]
            server = subprocess.run([*map(str, files), name, str(requests)], check=False)
            sidecar.wait(timeout=10)
            return server.returncode
        finally:
            sidecar.kill()
            for each in (name, name + ".stop"):
                atomics.unlink_name(each)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve both ways, and return 0 if the atomic one counted each request."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--requests", type=int, default=400_000, help="to serve, in each way")
    arguments.add_argument("--out", type=Path, default=Path("out"), help="folder for what is built")
    options = arguments.parse_args(argv)

    model.main(["--out", str(options.out)])
    build(HERE / "serve.cpp", options.out / "serve")
    for saved, way in WAYS.items():
        print(f"\n{way}", flush=True)
        code = serve(options.out, saved, options.requests)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
