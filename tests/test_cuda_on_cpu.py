"""The kernels for GPUs, run on the CPU, do what those of the CPU do.

``cuda_on_cpu/`` stands in for CUDA: a launch calls the kernel for one thread after the other, and
the lanes of a warp meet where its instructions have them meet. What it cannot show: instructions
that only a GPU has, real concurrency, and the device's own rounding of float32.
"""

from __future__ import annotations

import ctypes
import subprocess
import sysconfig
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from links import OPERATIONS, instruction
from op_table import DENSE, INDEXED, INTEGERS, NUMBER, NUMBERS, Op
from support import assert_refused
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

ROOT = Path(__file__).parent.parent
STAND_IN = ROOT / "tests" / "cuda_on_cpu"
SHARED = ("check.cpp", "fail.cpp", "overlap.cpp", "view.cpp", "schema.cpp")

NONE = 0  # of the attributes of memory

atomics = torch.ops.atomics
emulated = torch.ops.atomics_on_cpu


class Machine(ctypes.Structure):
    """As in cuda_runtime.h of the stand-in."""

    _fields_ = [
        ("touched", ctypes.c_int64 * 2),
        ("on_peer", ctypes.c_void_p),
        ("peer_access", ctypes.c_int),
        ("peer_atomics", ctypes.c_int),
        ("peer_asked", ctypes.c_int),
        ("device", ctypes.c_int),
        ("memory", ctypes.c_int),
        ("attribute", ctypes.c_int),
        ("device_of_memory", ctypes.c_int),
        ("old_driver", ctypes.c_int),
        ("capabilities", ctypes.c_uint * len(OPERATIONS)),
    ]


@pytest.fixture(scope="module", autouse=True)
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The kernels, in a namespace of their own."""
    folder = tmp_path_factory.mktemp("cuda_on_cpu")
    of_torch = Path(torch.__file__).parent
    headers = of_torch / "include"
    sources = [
        *(ROOT / "csrc" / name for name in SHARED),
        *(ROOT / "csrc" / "cuda").glob("*.c*"),
        STAND_IN / "emulate.cpp",
    ]
    sources = [source for source in sources if source.suffix in (".cu", ".cpp")]

    def compiled(source: Path) -> Path:
        made = folder / f"{source.name}.o"
        subprocess.run(
            [
                *("c++", "-x", "c++", "-std=c++20", "-O1", "-fPIC", "-fvisibility=hidden", "-w"),
                *(f"-I{STAND_IN}", f"-isystem{headers}"),
                f"-isystem{headers / 'torch' / 'csrc' / 'api' / 'include'}",
                *("-DTORCH_TARGET_VERSION=0x020a000000000000", "-c", source, "-o", made),
            ],
            check=True,
        )
        return made

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compiled, sources))
    made = folder / f"libcuda_on_cpu{sysconfig.get_config_var('SHLIB_SUFFIX')}"
    libraries = [f"-L{of_torch / 'lib'}", "-ltorch_cpu", "-lc10"]
    subprocess.run(["c++", "-shared", *objects, *libraries, "-o", made], check=True)
    torch.ops.load_library(made)
    return ctypes.CDLL(str(made))


@pytest.fixture(scope="module")
def machine(library: ctypes.CDLL) -> Machine:
    return Machine.in_dll(library, "machine")


def on_cpu(op: Op) -> Any:
    packet, _, overload = op.name.partition(".")
    return getattr(getattr(emulated, packet), overload or "default")


def copied(arguments: Any) -> Any:
    return tree_map_only(Tensor, Tensor.clone, arguments)


def same(a: Any, b: Any) -> bool:
    """Whether they are the same, NaNs and the signs of zeros, too."""
    pairs = zip(tree_leaves(a), tree_leaves(b), strict=True)
    return all(
        (x.dtype, x.shape, x.tolist().__repr__()) == (y.dtype, y.shape, y.tolist().__repr__())
        if isinstance(x, Tensor)
        else x == y
        for x, y in pairs
    )


def compare(op: Op, arguments: tuple[Any, ...], **keywords: Any) -> None:
    theirs = copied(arguments)
    expected = op.overload(*arguments, **keywords)
    assert same(on_cpu(op)(*theirs, **keywords), expected)
    assert same(theirs, arguments)


def with_dtypes(ops: list[Op]) -> Any:
    return pytest.mark.parametrize(
        ("op", "dtype"),
        [(op, dtype) for op in ops for dtype in op.dtypes],
        ids=lambda each: each.name if isinstance(each, Op) else str(each),
    )


@with_dtypes(DENSE + NUMBER + INDEXED)
def test_op_does_what_it_does_on_the_cpu(op, dtype):
    compare(op, op.arguments(dtype), **op.keywords)


@with_dtypes(DENSE + NUMBER + INDEXED)
def test_op_touches_cells_in_the_scope_of_its_thread_only(library, machine, op, dtype):
    for only_device in (0, 1):
        before = list(machine.touched)
        library.atomics_set_device_scope(only_device)
        compare(op, op.arguments(dtype), **op.keywords)
        library.atomics_set_device_scope(0)
        new = [now > then for now, then in zip(machine.touched, before, strict=True)]
        assert new == [not only_device, bool(only_device)]


def test_scope_is_that_of_one_thread(library, machine):
    library.atomics_set_device_scope(1)
    before = machine.touched[1]
    target = torch.zeros(3)
    thread = threading.Thread(target=emulated.add_, args=(target, torch.ones(3)))
    thread.start()
    thread.join()
    library.atomics_set_device_scope(0)
    assert machine.touched[1] == before
    assert target.tolist() == [1, 1, 1]


LAYOUTS = {
    "one": lambda base: base[:1, :1, 0],
    "long": lambda base: base.flatten()[3:],
    "transposed": lambda base: base.permute(2, 0, 1),
    "gaps": lambda base: base[::2, 1:, ::3],
    "column": lambda base: base[:, 2, 5],
}
# Two numbers of a layout at most are equal to a third, in a small integer's range.
SIZE = (7, 5, 29)


def numbers(dtype: torch.dtype, start: int) -> Tensor:
    values = torch.arange(start, start + 7 * 5 * 29).reshape(SIZE) * 7 % 101
    return values % 2 == 0 if dtype == torch.bool else values.to(dtype)


WITH_OPERANDS = [op for op in DENSE if op.takes_operands]


@pytest.mark.parametrize("layout", LAYOUTS)
@with_dtypes(WITH_OPERANDS)
def test_layouts_are_walked_as_on_the_cpu(op, dtype, layout):
    count = sum(isinstance(each, Tensor) for each in op.arguments(dtype)) - 1
    for broadcast in (False, True):
        target = LAYOUTS[layout](numbers(dtype, 1))
        others = [LAYOUTS[layout](numbers(dtype, 10 * (k + 2))) for k in range(count)]
        if broadcast:
            others = [other[..., :1] for other in others]
        compare(op, (target, *others))


SPECIAL = [0.0, -0.0, 1.0, float("inf"), -float("inf"), float("nan"), 3.5, -2.0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("op", WITH_OPERANDS, ids=lambda op: op.name)
def test_special_numbers_are_those_of_the_cpu(op, dtype):
    if dtype not in op.dtypes:
        return
    count = sum(isinstance(each, Tensor) for each in op.arguments(dtype)) - 1
    first = torch.tensor(SPECIAL, dtype=dtype).repeat_interleave(len(SPECIAL))
    others = [torch.tensor(SPECIAL, dtype=dtype).repeat(len(SPECIAL)) for _ in range(count)]
    compare(op, (first, *others))


@pytest.mark.parametrize("alpha", [1, -1, 3])
@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
@pytest.mark.parametrize("name", ["add_", "sub_"])
def test_alpha_scales(name, dtype, alpha):
    for offset in range(4):  # of words from where they are aligned
        target, other = numbers(dtype, 3).flatten()[offset:], numbers(dtype, 50).flatten()[1:]
        expected = target.clone()
        n = min(len(target), len(other))
        getattr(emulated, name)(target[:n], other[:n], alpha)
        getattr(atomics, name)(expected[:n], other[:n], alpha)
        assert same(target, expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_seed_rounds_as_on_the_cpu(dtype):
    target, other = numbers(dtype, 3).flatten(), torch.full((7 * 5 * 29,), 0.3, dtype=dtype)
    expected = target.clone()
    emulated.add_(target, other, 0.37, 5)
    atomics.add_(expected, other, 0.37, 5)
    assert same(target, expected)


@pytest.mark.parametrize("index_dtype", [torch.int32, torch.int64], ids=str)
@pytest.mark.parametrize("shape", [(), (1,), (3,), (8,), (16,), (2, 24)])
@pytest.mark.parametrize("alpha", [1, 2])
@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
def test_rows_that_meet_get_the_sum_of_all(dtype, alpha, shape, index_dtype):
    index = (torch.arange(100) * 7 % 11 % 6).to(index_dtype)
    source = (torch.arange(100 * max(1, torch.Size(shape).numel())) % 2).to(dtype)
    source = source.reshape(100, *shape)
    for target in (
        torch.zeros(6, *shape, dtype=dtype),
        torch.zeros(*reversed((12, *shape)), dtype=dtype).permute(*range(len(shape), -1, -1))[::2],
    ):
        expected = target.clone()
        emulated.index_add_(target, 0, index, source, alpha)
        atomics.index_add_(expected, 0, index, source, alpha)
        assert same(target, expected)


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_tickets_are_drawn_once(dtype):
    index = torch.arange(90) % 7 % 3
    target = torch.zeros(3, dtype=dtype)
    drawn = emulated.index_fetch_add(target, 0, index, torch.ones(90, dtype=dtype))
    for row in range(3):
        count = int((index == row).sum())
        assert sorted(drawn[index == row].tolist()) == list(range(count))
        assert target[row] == count


@pytest.mark.parametrize("name", ["index_add_", "index_fetch_add", "index_min_", "index_exchange"])
@pytest.mark.parametrize("shape", [(), (3,), (8,)])
@pytest.mark.parametrize("dtype", [torch.int64, torch.float32], ids=str)
def test_index_that_does_not_fit_is_left_out_and_raised_later(name, shape, dtype):
    target = torch.full((3, *shape), 5, dtype=dtype)
    index = torch.tensor([0, 3, 2, -1])
    getattr(emulated, name)(target, 0, index, torch.ones(4, *shape, dtype=dtype))
    assert target[1].eq(5).all()
    assert target[0].ne(5).all()
    with pytest.raises(
        RuntimeError, match=rf"^{name}: index must lie in \[0, 3\), got -1 in an ear"
    ):
        emulated.load(target)
    assert emulated.load(target).equal(target)


@pytest.fixture
def peer(machine: Machine) -> Iterator[Callable[[Tensor], Tensor]]:
    """Has a tensor be on another GPU, of the same name ("cpu") to the stand-in."""

    def put(tensor: Tensor) -> Tensor:
        machine.on_peer = tensor.data_ptr()
        return tensor

    yield put
    machine.on_peer = None
    machine.peer_access = machine.peer_atomics = 0


def test_addition_to_a_peer_runs_there_over_a_link_with_atomics_only(library, machine, peer):
    other = peer(torch.tensor([2, 0, 2]))  # the index, too, which is to be on the same one
    calls = {"add_": (other, 3), "sub_": (other,), "index_add_": (0, other, other)}
    rule = "be on cpu like target, or on a GPU with atomics over its link to it, got cpu"
    for access, has_atomics in ((0, 1), (1, 0)):
        machine.peer_access, machine.peer_atomics = access, has_atomics
        for name, arguments in calls.items():
            what = "source" if "index" in name else "other"
            message = f"{name}: {what} must {rule}"
            assert_refused(getattr(emulated, name), (torch.zeros_like(other), *arguments), message)

    machine.peer_access = machine.peer_atomics = 1
    asked = machine.peer_asked
    for name, arguments in calls.items():
        target, expected = torch.arange(3), torch.arange(3)
        machine.device = -1
        getattr(emulated, name)(target, *arguments)
        assert machine.device == 0
        getattr(atomics, name)(expected, *arguments)
        assert target.equal(expected)
    assert machine.peer_asked == asked + 1

    message = "index_add_: index must be on cpu like source, got cpu"
    assert_refused(emulated.index_add_, (torch.arange(3), 0, other.clone(), other), message)
    library.atomics_set_device_scope(1)
    message = "add_: scope must be 'system' for tensors on two devices, got 'device'"
    assert_refused(emulated.add_, (torch.zeros_like(other), other), message)
    library.atomics_set_device_scope(0)


ADDING = {"add_", "sub_", "index_add_"}
OTHERS = [op for op in DENSE + INDEXED if op.name not in {*ADDING, "load"}]


@pytest.mark.parametrize("op", OTHERS, ids=lambda op: op.name)
def test_other_ops_have_their_operands_on_one_device(op, machine, peer):
    machine.peer_access = machine.peer_atomics = 1
    *rest, last = op.arguments(op.dtypes[-1])
    name = op.overload._schema.arguments[len(rest)].name
    message = f"{op.name}: {name} must be on cpu like target, got cpu"
    assert_refused(on_cpu(op), (*rest, peer(last.clone())), message)


class Memory(NamedTuple):
    """A kind that all memory is, for a test."""

    name: str
    type: int  # a cudaMemoryType
    attribute: int  # which a device needs for all updates there
    over_a_link: bool  # that may have some of the instructions
    device: int = -1

    @property
    def refusal(self) -> str:
        return f"target must lie in memory that cpu updates atomically, got {self.name}"


PEER = Memory("memory of cuda:3", 2, NONE, True, device=3)
PINNED = Memory("pinned memory of the host", 1, 1, True)
MANAGED = Memory("managed memory", 3, 2, False)
PAGEABLE = Memory("pageable memory of the host", 0, 3, False)


@pytest.fixture
def links(machine: Machine) -> Iterator[Machine]:
    """The machine, whose links have nothing but what the test gives them."""
    yield machine
    machine.attribute = machine.peer_atomics = machine.old_driver = 0
    machine.capabilities[:] = [0] * len(OPERATIONS)


@pytest.fixture(params=[PEER, PINNED, MANAGED, PAGEABLE], ids=lambda memory: memory.name)
def memory(request: pytest.FixtureRequest, machine: Machine) -> Iterator[Memory]:
    memory = request.param
    machine.memory, machine.device_of_memory = memory.type, memory.device
    yield memory
    machine.memory, machine.device_of_memory = 2, -1


def is_plain(op: Op, dtype: torch.dtype) -> bool:
    """Whether it only loads, or only stores."""
    name = op.name.partition(".")[0]
    return name == "load" or (name == "store_" and dtype.itemsize > 1)


def assert_not_updated(memory: Memory, op: Op, dtype: torch.dtype) -> None:
    message = f"{op.name.partition('.')[0]}: {memory.refusal}"
    assert_refused(on_cpu(op), op.arguments(dtype), message, **op.keywords)


@with_dtypes(DENSE + NUMBER + INDEXED)
def test_memory_of_others_is_updated_where_that_is_atomic_only(library, links, memory, op, dtype):
    if not is_plain(op, dtype):
        assert_not_updated(memory, op, dtype)
        library.atomics_set_device_scope(1)
        compare(op, op.arguments(dtype), **op.keywords)
        library.atomics_set_device_scope(0)
        links.attribute, links.peer_atomics = memory.attribute, memory is PEER
    compare(op, op.arguments(dtype), **op.keywords)


@with_dtypes(DENSE + NUMBER + INDEXED)
def test_link_that_has_some_instructions_takes_the_ops_made_of_them(
    library, links, memory, op, dtype
):
    if is_plain(op, dtype):
        return
    needed = instruction(op, dtype)
    everything = ~0
    links.capabilities[:] = [everything] * len(OPERATIONS)
    if needed is None or not memory.over_a_link:
        return assert_not_updated(memory, op, dtype)
    # All but one of what it needs, and all of all others.
    for bit in (1 << k for k in range(32)):
        if needed.capabilities & bit:
            links.capabilities[needed.number] = everything & ~bit
            assert_not_updated(memory, op, dtype)
    links.capabilities[:] = [0] * len(OPERATIONS)
    links.capabilities[needed.number] = needed.capabilities
    compare(op, op.arguments(dtype), **op.keywords)
    links.old_driver = 1
    assert_not_updated(memory, op, dtype)


@with_dtypes(DENSE + NUMBER + INDEXED)
def test_library_tells_of_the_link_to_the_host(library, links, op, dtype):
    def asked() -> int:
        kind = dtype.is_floating_point, dtype.itemsize
        return library.atomics_updates_host(op.name.encode(), *kind, 0)

    assert asked() == 0
    links.attribute = PINNED.attribute
    assert asked() == 1
    links.attribute = NONE
    needed = instruction(op, dtype)
    if needed:
        links.capabilities[needed.number] = needed.capabilities
    assert asked() == (needed is not None)
