"""Objects by name in processes without a common parent, in Python and C++: exact totals."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from named_files import on_cores_of_their_own, outputs, path_of, start
from support import TIMEOUT

from caffe2op_atomics import AtomicBool, Counter, Mutex

ROOT = Path(__file__).parent.parent
KINDS = [Counter, AtomicBool, Mutex]
N = 100_000


def wait_for(counter: Counter, value: int) -> None:
    deadline = time.monotonic() + TIMEOUT
    while counter.value < value:
        assert time.monotonic() < deadline
        time.sleep(0.001)


COUNT = f"""
import sys
import caffe2op_atomics as atomics
name = sys.argv[1]
steps, ready = atomics.Counter(name=name), atomics.Counter(name=name + ".ready")
go = atomics.AtomicBool(name=name + ".go")
ready.next()
while not go.is_set():
    pass
for _ in range({N}):
    steps += 1
"""


@pytest.mark.filterwarnings("ignore::caffe2op_atomics.LeftoverWarning")
def test_programs_without_a_common_parent_count_exactly(name):
    programs = [start(COUNT, name) for _ in range(2)]
    wait_for(Counter(name=name + ".ready"), 2)
    with on_cores_of_their_own(*(program.pid for program in programs)):
        AtomicBool(name=name + ".go").set()
        outputs(programs)
    assert Counter(name=name).value == 2 * N


TICKETS = """
import os, sys
import torch
import caffe2op_atomics as atomics
name = os.environ["TEST_NAME"]
steps, ready = atomics.Counter(name=name), atomics.Counter(name=name + ".ready")
mutex = atomics.Mutex(name=name + ".mutex")
guarded = atomics.Counter(name=name + ".guarded").tensor
ready.next()
while ready.value < 2:
    pass
for _ in range(100_000):
    steps.next()
for _ in range(1_000):
    with mutex:
        guarded.add_(1)
"""


@pytest.mark.filterwarnings("ignore::caffe2op_atomics.LeftoverWarning")
def test_torchrun_ranks_count_exactly(name, tmp_path):
    script = tmp_path / "rank.py"
    script.write_text(TICKETS)
    subprocess.run(
        [
            sys.executable,
            *["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"],
            script,
        ],
        env={**os.environ, "TEST_NAME": name, "OMP_NUM_THREADS": "1"},
        timeout=100,
        check=True,
    )
    assert Counter(name=name).value == 200_000
    assert Counter(name=name + ".guarded").value == 2_000


@pytest.mark.parametrize("cpp_first", [False, True])
def test_cpp_program_and_python_count_exactly(name, tmp_path, cpp_first):
    program, source = tmp_path / "count", Path(__file__).parent / "named_count.cpp"
    flags = ["-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["c++", *flags, source, "-o", program], check=True, timeout=100)
    by_cpp = 50_000_000
    objects = [] if cpp_first else [Counter(name=name), AtomicBool(name=name + ".go")]
    process = subprocess.Popen(
        [program, path_of(name), path_of(name + ".go"), str(by_cpp)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "ready\n"
        counter, go = objects or [Counter(name=name), AtomicBool(name=name + ".go")]
        with on_cores_of_their_own(process.pid, os.getpid()):
            go.set()
            wait_for(counter, 1)  # live, and from now on both count
            by_python = 0
            while process.poll() is None:
                for _ in range(1000):
                    counter += 1
                by_python += 1000
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()
    assert counter.value == by_cpp + by_python


def test_header_for_cpp_is_c_as_well(tmp_path):
    source = tmp_path / "header.c"
    source.write_text(f'#include "{ROOT}/csrc/shared_file.h"\nint main(void) {{ return 0; }}\n')
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["cc", *flags, source, "-o", tmp_path / "header"], check=True, timeout=100)
