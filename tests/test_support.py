"""is_supported says what the ops do, for every op and every dtype that torch has."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from bad_arguments import listed, named
from op_table import ALL, DTYPES, GUARDED, HANDLES, INDEXED, REGISTRY, Op
from support import HAS_CUDA_KERNELS
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_leaves, tree_map_only

from caffe2op_atomics import _dtypes, _library, is_supported

ROOT = Path(__file__).parent.parent
EVERY_DTYPE = sorted({v for v in vars(torch).values() if isinstance(v, torch.dtype)}, key=str)

by_op = pytest.mark.parametrize("op", ALL, ids=lambda op: op.name)
by_op_with_target = pytest.mark.parametrize(
    "op",
    [
        op
        for op in ALL
        if op not in HANDLES and not op.name.startswith(("create_", "handle_release"))
    ],
    ids=lambda op: op.name,
)


def with_target_dtype(op: Op, dtype: torch.dtype) -> tuple[Any, ...]:
    """Arguments of ``op``: those of a dtype that it takes, in ``dtype``, whatever they hold."""
    right = op.dtypes[0] if op not in GUARDED else op.dtypes[-1]  # not that of the mutex
    return tree_map_only(
        Tensor,
        lambda each: torch.empty(each.shape, dtype=dtype) if each.dtype == right else each,
        op.arguments(right),
    )


def memory(arguments: tuple[Any, ...]) -> list[bytes]:
    tensors = [each for each in tree_leaves(arguments) if isinstance(each, Tensor)]
    return [bytes(each.untyped_storage()) for each in tensors]


@by_op
def test_supported_dtypes_are_those_of_the_table(op):
    assert [d for d in EVERY_DTYPE if is_supported(op.name, d)] == sorted(op.dtypes, key=str)


@by_op
def test_supported_call_is_carried_out(op):
    for dtype in EVERY_DTYPE:
        if is_supported(op.name, dtype):
            op.overload(*op.arguments(dtype), **op.keywords)


# torch warns of dtypes that it gives up, and of those that are young.
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor", "ignore:B?Complex(Half|32) support")
@by_op_with_target
def test_unsupported_call_is_refused_and_changes_nothing(op):
    for dtype in EVERY_DTYPE:
        if not is_supported(op.name, dtype):
            arguments = with_target_dtype(op, dtype)
            before = memory(arguments)
            with pytest.raises(RuntimeError):
                op.overload(*arguments, **op.keywords)
            assert memory(arguments) == before


@by_op_with_target
def test_why_not_is_what_the_op_says(op):
    for dtype in (*DTYPES, torch.complex64):
        support = is_supported(op.name, dtype)
        if not support:
            with pytest.raises(RuntimeError) as caught:
                op.overload(*with_target_dtype(op, dtype), **op.keywords)
            assert support.why == str(caught.value).splitlines()[0]
            assert support.why.endswith(f" must have dtype {listed(op)}, got {named(dtype)}")


@pytest.mark.parametrize(
    "op", [op for op in ALL if op.name.startswith("create_")], ids=lambda op: op.name
)
def test_created_things_have_the_supported_dtype(op):
    (dtype,) = op.dtypes
    assert op.overload(*op.arguments(dtype)).dtype == dtype
    why = f"{op.name}: dtype must be {named(dtype)}, got bool"
    assert is_supported(op.name, torch.bool).why == why


@pytest.mark.parametrize("op", INDEXED, ids=lambda op: op.name)
def test_index_is_int32_or_int64(op):
    right = op.dtypes[-1]
    for dtype in DTYPES:
        target, dim, index, *sources = op.arguments(right)
        arguments = (target, dim, index.to(dtype), *sources)
        if dtype in (torch.int32, torch.int64):
            op.overload(*arguments)
        else:
            before = memory(arguments)
            with pytest.raises(RuntimeError, match="index must have dtype int32 or int64, got"):
                op.overload(*arguments)
            assert memory(arguments) == before


@by_op
@pytest.mark.parametrize("device", ["cuda:1", "xpu"])
def test_no_op_has_a_kernel_for_another_device(op, device):
    if device != "xpu" and HAS_CUDA_KERNELS:
        pytest.skip("kernels for CUDA in this build: test_cuda_build.py")
    support = is_supported(op.name, op.dtypes[0], device)
    assert not support
    # The ops that take a device look at it themselves.
    if op.name in ("create_mutex", "create_atomic_bool"):
        assert support.why.startswith(f"{op.name}: device must be cpu, got ")
    else:
        assert support.why == f"{op.name} has no kernel for {device.split(':')[0]} in this build"


@by_op
def test_meta_is_for_tracing(op):
    dtype = op.dtypes[0]
    support = is_supported(op.name, dtype, torch.device("meta"))
    assert not support.lock_free
    assert not is_supported(op.name, torch.complex64, "meta")
    arguments = tree_map_only(Tensor, lambda each: each.to("meta"), op.arguments(dtype))
    if support:
        assert support.why == "meta tensors are for tracing, a call updates nothing"
        device = {"device": "meta"} if op.name in ("create_mutex", "create_atomic_bool") else {}
        op.overload(*arguments, **op.keywords, **device)
    else:
        assert support.why == f"{op.name} has no kernel for meta in this build"
        with pytest.raises((NotImplementedError, RuntimeError)):
            op.overload(*arguments)


@by_op
def test_lock_free_are_the_ops_on_targets_and_flags(op):
    support = is_supported(op.name, op.dtypes[0])
    first = [argument.name for argument in op.overload._schema.arguments][:1]
    expected = first in (["target"], ["atomic_bool"]) and op.name not in ("wait", "notify")
    if op in HANDLES + REGISTRY:
        expected = op.name in ("handle_load", "handle_store_", "handle_add_", "handle_fetch_add")
    assert support.lock_free == expected
    assert (support.width > 0) == expected


def test_support_prints_what_it_means():
    assert str(is_supported("load", torch.int8)) == "supported, lock-free, up to 8 bytes at once"
    assert str(is_supported("mutex_lock", torch.uint8)) == "supported, not lock-free"
    assert str(is_supported("mutex_lock", torch.uint8, "meta")) == (
        "not supported: mutex_lock has no kernel for meta in this build"
    )
    assert str(is_supported("load", torch.int8, "meta")) == (
        "supported: meta tensors are for tracing, a call updates nothing"
    )


def test_unknown_op_is_an_error_that_names_similar_ones():
    with pytest.raises(ValueError, match=r"got 'fetch_ad'; did you mean .*'fetch_add'.*\?$"):
        is_supported("fetch_ad", torch.int32)
    for op in ("", "zzz", "add_.", "fetch_and.float"):
        with pytest.raises(ValueError, match=r"op must be a name in torch\.ops\.atomics, got '"):
            is_supported(op, torch.int32)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.ops.atomics.load, torch.int32), "op must be a name, got OpOverloadPacket"),
        (("load", "int32"), "dtype must be a torch.dtype, got str"),
        (("load", int), "dtype must be a torch.dtype, got type"),
        (("load", torch.int32, 0), "device must be a device, got int"),
        (("load", torch.int32, None), "device must be a device, got NoneType"),
    ],
)
def test_argument_of_another_type_is_a_type_error(arguments, message):
    with pytest.raises(TypeError, match=f"is_supported: {message}"):
        is_supported(*arguments)


@pytest.mark.parametrize("device", ["", "gpu", "cpu:x"])
def test_no_device_is_a_value_error(device):
    with pytest.raises(ValueError, match=f"is_supported: device must be a device, got '{device}'"):
        is_supported("load", torch.int32, device)


def test_answer_does_not_depend_on_where_it_is_asked_first():
    expected = is_supported("fetch_and", torch.bool), is_supported("fetch_and", torch.float32)

    def ask(*_: Any) -> Tensor:
        _dtypes.dtypes_and_rule.cache_clear()
        answers.append((is_supported("fetch_and", torch.bool), is_supported("fetch_and", F32)))
        return torch.zeros(())

    F32 = torch.float32  # noqa: N806
    answers: list[Any] = []
    with FakeTensorMode():
        ask()
    with torch.device("meta"), torch.inference_mode():
        ask()
    torch.vmap(ask)(torch.zeros(2))
    torch.func.functionalize(ask)(torch.zeros(2))
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(60)
    assert answers == [expected] * 5


# Dynamo traces through caches and says so.
@pytest.mark.filterwarnings("ignore:Dynamo detected a call to a `functools.lru_cache`")
def test_compiled_function_may_ask():
    def update(target: Tensor) -> Tensor:
        if is_supported("fetch_and", target.dtype):
            return target + 1
        return target + 2

    compiled = torch.compile(update, backend="eager")
    assert compiled(torch.zeros(1)).tolist() == [2]
    assert compiled(torch.zeros(1, dtype=torch.int32)).tolist() == [1]


def test_number_overloads_share_the_dtypes_of_their_op():
    """So that the table needs one row for an op."""
    for name in _library.op_names():
        packet, _, kind = name.partition(".")
        if kind in ("int", "float"):
            for dtype in EVERY_DTYPE:
                of_kind = dtype in DTYPES and dtype.is_floating_point == (kind == "float")
                expected = of_kind and bool(is_supported(packet, dtype))
                assert bool(is_supported(name, dtype)) == expected


def test_documented_table_is_what_the_library_says():
    printed = subprocess.run(
        [sys.executable, "-m", "caffe2op_atomics", "--support"],
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    ).stdout
    page = (ROOT / "docs" / "support.md").read_text()
    documented = "".join(line for line in page.splitlines(True) if line.startswith("|"))
    assert documented == printed, (
        "put what `python -m caffe2op_atomics --support` prints into docs/support.md"
    )
