"""The machine of the part "ptx" of `make verify`, on kernels written here: no nvcc is needed."""

from __future__ import annotations

import ctypes
import struct
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

MACHINE = Path(__file__).parent / "ptx"
Run = Callable[..., list[int]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs instructions in 64 threads on words of memory, and returns what these hold then."""
    folder = tmp_path_factory.mktemp("ptx")
    sources = [path for path in MACHINE.glob("*.cpp") if path.name != "runtime.cpp"]

    def compiled(source: Path) -> Path:
        made = folder / f"{source.name}.o"
        subprocess.run(["c++", "-std=c++20", "-fPIC", "-c", source, "-o", made], check=True)
        return made

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compiled, sources))
    subprocess.run(["c++", "-shared", *objects, "-o", folder / "ptx.so"], check=True)
    ptx_run = ctypes.CDLL(str(folder / "ptx.so")).ptx_run
    ptx_run.restype = ctypes.c_char_p

    def run(body: str, words: Sequence[int], seed: int = 0) -> list[int]:
        text = KERNEL.replace("BODY", body)
        memory = (ctypes.c_uint32 * len(words))(*words)
        address, number = ctypes.c_uint64(ctypes.addressof(memory)), (ctypes.c_uint32 * 2)(0, 3)
        args = (ctypes.c_void_p * 2)(ctypes.addressof(address), ctypes.addressof(number))
        wrong = ptx_run(text.encode(), b"kernel", 2, 32, args, ctypes.c_uint64(seed))
        if wrong:
            raise RuntimeError(wrong.decode())
        return list(memory)

    return run


KERNEL = """
.version 9.0
.visible .entry kernel(
    .param .u64 .ptr .align 1 kernel_param_0,
    .param .align 4 .b8 kernel_param_1[8]
)
{
    .reg .pred %p<4>;
    .reg .b16 %rs<4>;
    .reg .b32 %r<9>;
    .reg .f32 %f<9>;
    .reg .b64 %rd<9>;
    // %rd1: the words; %r1: 3; %r2: the thread's number
    ld.param.u64 %rd1, [kernel_param_0];
    ld.param.u32 %r1, [kernel_param_1+4];
    mov.u32 %r2, %tid.x;
    mov.u32 %r3, %ctaid.x;
    BODY
    ret;
}
"""
ATOMIC = "red.relaxed.sys.global.add.u32 [%rd1], %r1;"
RACY = "ld.global.u32 %r4, [%rd1]; add.s32 %r4, %r4, %r1; st.global.u32 [%rd1], %r4;"
SWAPS = """
    ld.relaxed.gpu.b32 %r4, [%rd1];
$L_again:
    add.s32 %r5, %r4, %r1;
    atom.cas.relaxed.gpu.b32 %r6,[%rd1],%r4,%r5;
    setp.ne.s32 %p1, %r6, %r4;
    mov.u32 %r4, %r6;
    @%p1 bra $L_again;
"""


@pytest.mark.parametrize("body", [ATOMIC, SWAPS], ids=["add", "swap"])
def test_atomics_lose_nothing_in_any_turns(run, body):
    for seed in range(20):
        assert run(body, [5], seed) == [5 + 64 * 3]


def test_a_load_and_a_store_lose_additions_at_random_only(run):
    assert run(RACY, [5], 0) == [5 + 64 * 3]
    for seed in range(1, 20):
        assert run(RACY, [5], seed)[0] < 5 + 64 * 3


def bits(*numbers: float, kind: str = "f") -> list[int]:
    """Return the words of floats, whose kind is a letter of struct."""
    packed = struct.pack(f"{len(numbers)}{kind}", *numbers)
    return list(struct.unpack(f"{len(packed) // 4}I", packed))


ADD_VECTOR = "red.relaxed.sys.global.add{} [%rd1], {{%r4, %r5, %r6, %r7}};"
LOAD_VECTOR = "ld.global.v4.u32 {%r4, %r5, %r6, %r7}, [%rd1+16]; "


@pytest.mark.parametrize(
    ("name", "kind", "count"), [(".v4.f32", "f", 4), (".noftz.v4.f16x2", "e", 8)]
)
def test_elements_of_a_vector_are_added_each_for_itself(run, name, kind, count):
    body = LOAD_VECTOR + ADD_VECTOR.format(name)
    before, others = range(count), [2.0**k for k in range(count)]
    words = bits(*before, kind=kind) + bits(*others, kind=kind)
    after = bits(*(b + 64 * other for b, other in zip(before, others, strict=True)), kind=kind)
    for seed in range(5):
        assert run(body, words, seed)[:4] == after


def test_additions_to_memory_take_subnormal_floats_for_zeros(run):
    body = "mov.f32 %f1, 0f00000001; red.relaxed.sys.global.add.f32 [%rd1], %f1;"
    assert run(body, [7]) == [0]


def test_floats_are_rounded_to_the_nearest_and_compared_with_nans(run):
    body = """
        ld.global.f32 %f1, [%rd1];
        { cvt.rn.f16.f32 %rs1, %f1;}
        { cvt.rn.bf16.f32 %rs2, %f1;}
        mov.b32 %r4, {%rs1, %rs2};
        st.global.u32 [%rd1+4], %r4;
        setp.num.f32 %p1, %f1, %f1;
        setp.gtu.f32 %p2, %f1, 0f41200000;
        selp.u32 %r5, 1, 0, %p1;
        selp.u32 %r6, 2, 0, %p2;
        or.b32 %r5, %r5, %r6;
        st.global.u32 [%rd1+8], %r5;
    """
    for number, half, brain, compared in (
        (1 + 2**-11, 0x3C00, 0x3F80, 1),  # a tie, to even
        (1 + 3 * 2**-11, 0x3C02, 0x3F80, 1),
        (70000.0, 0x7C00, 0x4789, 3),
        (float("nan"), 0x7FFF, 0x7FFF, 2),
    ):
        (word,) = bits(number)
        assert run(body, [word, 0, 0]) == [word, half | brain << 16, compared]


def test_lanes_of_a_warp_meet(run):
    body = """
        setp.lt.u32 %p1, %r2, 5;
        vote.sync.ballot.b32 %r4, %p1, -1;
        and.b32 %r5, %r2, 1;
        cvt.u64.u32 %rd2, %r5;
        match.any.sync.b64 %r6, %rd2, -1;
        shfl.sync.idx.b32 %r7|%p2, %r2, 9, 31, -1;
        setp.ne.s32 %p3, %r2, 30;
        @%p3 bra $L_end;
        mul.wide.u32 %rd3, %r3, 12;
        add.s64 %rd3, %rd1, %rd3;
        st.global.u32 [%rd3], %r4;
        st.global.u32 [%rd3+4], %r6;
        st.global.u32 [%rd3+8], %r7;
    $L_end:
    """
    for seed in range(5):
        assert run(body, [0] * 6, seed) == [0b11111, 0x55555555, 9] * 2


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ("bar.sync 0;", "not known: bar.sync 0"),
        ("atom.add.relaxed.cta.u32 %r4,[%rd1],%r1;", "not known: atom.add.relaxed.cta.u32"),
        ("add.s32 %r4, %r99, 1;", "not known: the operand %r99"),
        ("ld.global.u16 %rs1, [%rd1+1];", "not aligned: ld.global.u16"),
        ("ld.param.u32 %r4, [kernel_param_1+8];", "outside of the parameters"),
        (
            "setp.lt.u32 %p1, %r2, 9; @%p1 bra $L_end; vote.sync.any.pred %p2, %p1, -1; $L_end:",
            "lanes never come: vote.sync.any.pred",
        ),
        ("shfl.sync.idx.b32 %r4|%p1, %r2, 40, 31, -1;", "from a lane that is not there"),
    ],
)
def test_what_is_wrong_or_not_known_is_named(run, body, wrong):
    with pytest.raises(RuntimeError, match=wrong.replace("(", r"\(")):
        run(body, [0] * 4)
