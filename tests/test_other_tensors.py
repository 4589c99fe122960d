"""Tensors that are no plain memory: refused, in each place of each op, and no byte changed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
import torch
import torch.distributed as dist
from bad_arguments import each_operand, each_replaced, with_argument
from op_table import ALL, DENSE, INDEXED
from support import nothing_changes
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Replicate
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.utils._pytree import tree_leaves, tree_map, tree_map_only

from caffe2op_atomics import is_supported, ops

pytestmark = pytest.mark.filterwarnings(
    "ignore:Sparse CSR",
    "ignore:The PyTorch API of nested tensors",
    "ignore:torch.quantize_per_tensor",
    "ignore:torch.ao.quantization",
    "ignore:Found a non-scalar tensor",
)

# What a call without tensors makes lies on the CPU.
ON_TENSORS = [op for op in ALL if op.name not in ("create_mutex", "create_atomic_bool")]

each_op = pytest.mark.parametrize("op", ON_TENSORS, ids=lambda op: op.name)

ROWS = [torch.zeros(2), torch.zeros(3)]
OTHERS = {
    "sparse": torch.eye(2).to_sparse,
    "sparse rows": torch.eye(2).to_sparse_csr,
    "mkldnn": torch.zeros(3).to_mkldnn,
    "nested": partial(torch.nested.nested_tensor, ROWS),
    "jagged": partial(torch.nested.nested_tensor, ROWS, layout=torch.jagged),
    "quantized": partial(torch.quantize_per_tensor, torch.zeros(3), 0.1, 0, torch.qint8),
}


# That one takes tensors of every kind to wait for.
WITH_KERNELS = [op for op in ON_TENSORS if op.name != "handle_after"]


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("op", WITH_KERNELS, ids=lambda op: op.name)
def test_other_layouts_have_no_kernel(op, kind):
    args, other = op.arguments(op.dtypes[-1]), OTHERS[kind]()
    with nothing_changes(args):
        for wrong in each_replaced(args, lambda _: other):
            with pytest.raises(NotImplementedError, match=f"atomics..?{op.name}"):
                op.overload(*wrong, **op.keywords)


def test_number_for_a_quantized_target_is_refused_in_our_words():
    with pytest.raises(RuntimeError, match=r"^add_: target must be a dense tensor, got a quanti"):
        ops.add_(OTHERS["quantized"](), 1)


@pytest.fixture(scope="module")
def mesh() -> Iterator[DeviceMesh]:
    """Of two processes, the other one of which is not there."""
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=2)
    yield DeviceMesh("cpu", [0, 1])
    dist.destroy_process_group()


def distributed(tensor: Tensor, mesh: DeviceMesh) -> Tensor:
    return DTensor.from_local(tensor, mesh, [Replicate()], run_check=False)


@each_op
def test_distributed_tensor_is_refused(op, mesh):
    """Each process would update its own part, or its own copy."""
    args = op.arguments(op.dtypes[-1])
    move = partial(distributed, mesh=mesh)
    with nothing_changes(args):
        for wrong in [*each_replaced(args, move), tree_map_only(Tensor, move, args)]:
            with pytest.raises(RuntimeError):
                op.overload(*wrong, **op.keywords)


def test_local_part_of_a_distributed_tensor_is_updated_in_place(mesh):
    local = torch.zeros(3)
    ops.add_(distributed(local, mesh).to_local(), 1)
    assert local.tolist() == [1, 1, 1]


@each_op
def test_vmap_and_functionalize_are_refused(op):
    args = op.arguments(op.dtypes[-1])
    call = partial(op.overload, **op.keywords)
    with nothing_changes(args):
        with pytest.raises(RuntimeError):
            torch.func.functionalize(call)(*args)
        for batched in each_replaced(args, lambda each: each.unsqueeze(0)):
            dims = tree_map(lambda new, old: None if new is old else 0, batched, args)
            with pytest.raises(RuntimeError):
                torch.vmap(call, in_dims=dims)(*batched)


@each_op
def test_fake_tensors_are_calculated_with_like_meta_tensors(op):
    args, real = op.arguments(op.dtypes[-1]), torch.zeros(3)
    call = partial(op.overload, **op.keywords)
    with nothing_changes((args, real)), FakeTensorMode() as mode:
        fake = tree_map_only(Tensor, mode.from_tensor, args)
        # Of an op that returns nothing torch needs no kernel to pass it over.
        if op.overload._schema.returns and not is_supported(op.name, op.dtypes[-1], "meta"):
            with pytest.raises(RuntimeError):
                call(*fake)
        else:
            results = tree_leaves(call(*fake))
            assert all(isinstance(each, FakeTensor) for each in results if each is not None)
        for mixed in each_replaced(fake, lambda _: real):
            if any(isinstance(each, FakeTensor) for each in tree_leaves(mixed)):
                with pytest.raises(AssertionError, match="convert all Tensors to FakeTensors"):
                    call(*mixed)


def zeros_without_memory(tensor: Tensor) -> Tensor:
    """As autograd makes them in forward mode."""
    return torch._efficientzerotensor(tensor.shape, dtype=tensor.dtype)


@each_operand(DENSE + INDEXED)
def test_zeros_without_memory_are_read_and_not_written(op, position, name):
    for dtype in op.dtypes:
        args = op.arguments(dtype)
        zeros = zeros_without_memory(args[position])
        expected = with_argument(op.arguments(dtype), position, torch.zeros_like(args[position]))
        results = op.overload(*with_argument(args, position, zeros))
        for one, other in zip(
            tree_leaves((args[0], results)),
            tree_leaves((expected[0], op.overload(*expected))),
            strict=True,
        ):
            assert one is other is None or torch.equal(one, other)
        with pytest.raises(RuntimeError, match="ZeroTensors are immutable"):
            op.overload(*with_argument(args, 0, zeros_without_memory(args[0])))
