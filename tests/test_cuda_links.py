"""GPUs update memory of a peer and of the host where that is atomic, and refuse to elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
import torch
from emulation import Machine, compare, emulated, on_cpu, with_dtypes
from links import OPERATIONS, instruction
from op_table import DENSE, INDEXED, NUMBER, Op
from support import assert_refused
from torch import Tensor

NONE = 0  # of the attributes of memory

atomics = torch.ops.atomics


@pytest.fixture
def peer(machine: Machine) -> Iterator[Callable[[Tensor], Tensor]]:
    """Has a tensor be on another GPU, of the same name ("cpu") to the stand-in."""

    def put(tensor: Tensor) -> Tensor:
        machine.on_peer = tensor.data_ptr()
        return tensor

    yield put
    machine.on_peer = None
    machine.peer_access = machine.peer_atomics = 0


def test_addition_to_a_peer_runs_there_over_a_link_with_atomics_only(emulation, machine, peer):
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
    emulation.atomics_set_device_scope(1)
    message = "add_: scope must be 'system' for tensors on two devices, got 'device'"
    assert_refused(emulated.add_, (torch.zeros_like(other), other), message)
    emulation.atomics_set_device_scope(0)


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
    """The machine, whose links and memory are what the test makes them."""
    yield machine
    machine.memory, machine.device_of_memory = 2, -1
    machine.attribute = machine.peer_atomics = machine.no_access = machine.old_driver = 0
    machine.capabilities[:] = [0] * len(OPERATIONS)


def test_memory_of_a_peer_without_access_is_refused(links):
    links.memory, links.device_of_memory, links.no_access = PEER.type, PEER.device, 1
    links.peer_atomics = 1
    message = f"add_: target must lie in memory that cpu was given access to, got {PEER.name}"
    assert_refused(emulated.add_, (torch.zeros(3), torch.ones(3)), message)


@pytest.fixture(params=[PEER, PINNED, MANAGED, PAGEABLE], ids=lambda memory: memory.name)
def memory(request: pytest.FixtureRequest, links: Machine) -> Memory:
    memory = request.param
    links.memory, links.device_of_memory = memory.type, memory.device
    return memory


def is_plain(op: Op, dtype: torch.dtype) -> bool:
    """Whether it only loads, or only stores."""
    name = op.name.partition(".")[0]
    return name == "load" or (name == "store_" and dtype.itemsize > 1)


def assert_not_updated(memory: Memory, op: Op, dtype: torch.dtype) -> None:
    message = f"{op.name.partition('.')[0]}: {memory.refusal}"
    assert_refused(on_cpu(op), op.arguments(dtype), message, **op.keywords)


@with_dtypes(DENSE + NUMBER + INDEXED)
def test_memory_of_others_is_updated_where_that_is_atomic_only(emulation, links, memory, op, dtype):
    if not is_plain(op, dtype):
        assert_not_updated(memory, op, dtype)
        emulation.atomics_set_device_scope(1)
        compare(op, op.arguments(dtype), **op.keywords)
        emulation.atomics_set_device_scope(0)
        links.attribute, links.peer_atomics = memory.attribute, memory is PEER
    compare(op, op.arguments(dtype), **op.keywords)


@with_dtypes(DENSE + NUMBER + INDEXED)
def test_link_that_has_some_instructions_takes_the_ops_made_of_them(
    emulation, links, memory, op, dtype
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
def test_library_tells_of_the_link_to_the_host(emulation, links, op, dtype):
    def asked() -> int:
        kind = dtype.is_floating_point, dtype.itemsize
        return emulation.atomics_updates_host(op.name.encode(), *kind, 0)

    assert asked() == 0
    links.attribute = PINNED.attribute
    assert asked() == 1
    links.attribute = NONE
    needed = instruction(op, dtype)
    if needed:
        links.capabilities[needed.number] = needed.capabilities
    assert asked() == (needed is not None)
