"""Arguments to call an op with: good ones, of which a few were replaced, by hypothesis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from bad_arguments import conjugate, misaligned, with_argument, without_memory
from hypothesis import strategies as st
from op_table import DTYPES, Op, orphaned_mutex
from targets import elements, layouts, operands, tensor_of
from torch import Tensor

_ops = torch.ops.atomics

Draw = st.DrawFn

_OTHER_DTYPES = (
    torch.complex64,
    torch.complex128,
    torch.uint16,
    torch.uint32,
    torch.uint64,
    torch.float8_e5m2,
)
_EDGES = [2**k + d for k in (0, 7, 8, 15, 31, 32, 53, 62, 63, 64) for d in (-1, 0, 1)]
INTEGERS = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([sign * edge for edge in _EDGES for sign in (1, -1)]),
    st.integers(-(2**63), 2**63 - 1),
)
NUMBERS = st.one_of(INTEGERS, st.floats(), st.booleans())
# For ever is right for who waits for what does not come.
TIMEOUTS = st.sampled_from([0, 0.0005, float("nan"), None])
_NO_TENSORS = st.one_of(st.none(), NUMBERS, st.just(()), st.just("text"))
_DEVICES = st.sampled_from(["cpu", "meta", "cuda", "cpu:0", None])


def _of_any_layout(draw: Draw, tensor: Tensor, _: list[Tensor]) -> Tensor:
    dtype = draw(st.sampled_from([tensor.dtype, *DTYPES]))
    layout = draw(layouts(st.one_of(st.just(tuple(tensor.shape)), _SHAPES)))
    whole = tensor_of(dtype, draw(elements(dtype, layout.cells)), (-1,))
    return whole.as_strided(layout.shape, layout.strides, layout.offset)


_SHAPES = st.lists(st.integers(0, 4), max_size=5).map(tuple)


def _broadcast(draw: Draw, tensor: Tensor, _: list[Tensor]) -> Tensor:
    return draw(operands(tensor.dtype, tuple(tensor.shape)))[0]


def _of_another_dtype(draw: Draw, tensor: Tensor, _: list[Tensor]) -> Tensor:
    return tensor.to(draw(st.sampled_from(DTYPES + _OTHER_DTYPES)))


def _with_strides(draw: Draw, tensor: Tensor, _: list[Tensor]) -> Tensor:
    """With elements in one place, more often than not."""
    shape = draw(st.one_of(st.just(tuple(tensor.shape)), _SHAPES))
    strides = [draw(st.integers(0, 5)) for _ in shape]
    offset = draw(st.integers(0, 3))
    last = offset + sum(max(n - 1, 0) * s for n, s in zip(shape, strides, strict=True))
    whole = torch.zeros(last + 1, dtype=tensor.dtype)
    return whole.as_strided(shape, strides, offset)


def _in_memory_of_another(draw: Draw, tensor: Tensor, others: list[Tensor]) -> Tensor:
    """Or the same tensor twice."""
    other = draw(st.sampled_from(others))
    if draw(st.booleans()) or other.is_quantized:  # torch crashes on views of those
        return other
    try:
        whole = other.as_strided((other.untyped_storage().nbytes() // other.itemsize,), (1,), 0)
        whole = whole.view(torch.uint8)[draw(st.sampled_from([0, 0, 1, 2, 4, 8])) :]
        whole = whole[: whole.numel() // tensor.itemsize * tensor.itemsize].view(tensor.dtype)
        return whole[: tensor.numel()].view(tensor.shape)
    except RuntimeError:  # too short, or of a layout that has no views
        return other


def _leaf(draw: Draw, tensor: Tensor, _: list[Tensor]) -> Tensor:
    if not tensor.dtype.is_floating_point:
        return tensor.detach()
    leaf = tensor.detach().requires_grad_()
    return draw(st.sampled_from([leaf, torch.nn.Parameter(leaf), leaf * 1]))


def _meta(draw: Draw, tensor: Tensor, _: list[Tensor]) -> Tensor:
    there = tensor.to("meta")
    return draw(st.sampled_from([there, there.new_empty((2**40,)), there.new_empty(2**62, 0)]))


def _of_another_kind(draw: Draw, tensor: Tensor, _: list[Tensor]) -> Tensor:
    kinds: list[Callable[[], Tensor]] = [
        conjugate,
        lambda: torch._neg_view(tensor),
        lambda: torch.zeros(3).to_sparse(),
        lambda: torch.zeros(3).to_mkldnn(),
        lambda: torch.quantize_per_tensor(torch.zeros(2, 3), 0.1, 0, torch.quint8),
        lambda: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
        lambda: tensor.detach().clone().share_memory_(),
        lambda: misaligned(tensor.contiguous()),
    ]
    return draw(st.sampled_from(kinds))()


def _resized(draw: Draw, tensor: Tensor, _: list[Tensor]) -> Tensor:
    return without_memory(tensor, draw(st.integers(0, tensor.nbytes)))


_WAYS = [
    _of_any_layout,
    _broadcast,
    _of_another_dtype,
    _with_strides,
    _in_memory_of_another,
    _leaf,
    _meta,
    _of_another_kind,
    _resized,
]


def is_bank(tensor: Tensor) -> bool:
    """As far as its shape tells."""
    return tensor.dtype == torch.uint8 and tensor.dim() == 2 and tensor.size(1) == 128


def _bank_in_use() -> Tensor:
    bank = _ops.create_mutex(3)
    _ops.mutex_lock(bank, 1)
    return bank


def _lost() -> Tensor:
    bank = orphaned_mutex()
    _ops.mutex_unlock(bank)
    return bank


def _with_a_wrong_byte(draw: Draw) -> Tensor:
    """Of its header: who overwrites the pthread mutex gets what glibc makes of it."""
    bank = _ops.create_mutex(draw(st.integers(1, 3)))
    bank[draw(st.integers(0, len(bank) - 1)), draw(st.integers(0, 63))] = draw(st.integers(0, 255))
    return bank


@st.composite
def _banks(draw: Draw) -> Tensor:
    bank = draw(st.sampled_from([_ops.create_mutex, _bank_in_use, orphaned_mutex, _lost]))()
    of_a_slot = st.integers(0, 128)
    views: list[Callable[[], Tensor]] = [
        lambda: bank,
        lambda: bank.clone(),
        lambda: bank.clone().share_memory_(),
        lambda: torch.zeros(2, 128, dtype=torch.uint8),
        lambda: torch.full((2, 128), draw(st.integers(0, 255)), dtype=torch.uint8).share_memory_(),
        lambda: _with_a_wrong_byte(draw),
        lambda: bank[draw(st.integers(0, 3)) :],
        lambda: bank[:, draw(of_a_slot) :],
        lambda: bank.view(-1)[draw(of_a_slot) :],
        lambda: bank.view(-1),
        lambda: bank.t(),
        lambda: bank.expand(2, *bank.shape),
        lambda: bank.view(torch.int32),
        lambda: torch.cat([bank, _ops.create_mutex()]),
    ]
    return draw(st.sampled_from(views))()


def _tensor(draw: Draw, tensor: Tensor, others: list[Tensor]) -> Any:
    if is_bank(tensor) and draw(st.booleans()):
        return draw(_banks())
    if draw(st.integers(0, 9)) == 0:
        return draw(_NO_TENSORS)
    return draw(st.sampled_from(_WAYS))(draw, tensor, others)


def _list(draw: Draw, values: list[Any], others: list[Tensor]) -> Any:
    way = draw(st.integers(0, 5))
    if way == 0:
        return draw(st.sampled_from([[], values[:1], values * 2, values[::-1], None, *values]))
    at = draw(st.integers(0, len(values) - 1))
    value = values[at]
    other = _tensor(draw, value, others) if isinstance(value, Tensor) else draw(NUMBERS)
    return [*values[:at], other, *values[at + 1 :]]


def _number(draw: Draw, name: str) -> Any:
    if name == "timeout":
        return draw(TIMEOUTS)
    if name == "device":
        return draw(_DEVICES)
    return draw(st.one_of(NUMBERS, _NO_TENSORS))


def tensors_of(arguments: tuple[Any, ...]) -> list[Tensor]:
    flat = [each for one in arguments for each in (one if isinstance(one, list) else [one])]
    return [each for each in flat if isinstance(each, Tensor)]


@st.composite
def calls(draw: Draw, op: Op) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments."""
    args = op.arguments(draw(st.sampled_from(op.dtypes)))
    schema = op.overload._schema.arguments
    keywords = dict(op.keywords)
    for argument in schema[len(args) :]:
        if draw(st.integers(0, 3)) == 0:
            keywords[argument.name] = _number(draw, argument.name)
    places = st.integers(0, len(args) - 1)
    for at in draw(st.lists(places, max_size=3, unique=True)) if args else []:
        old, others = args[at], tensors_of(args)
        if isinstance(old, Tensor):
            new = _tensor(draw, old, others)
        elif isinstance(old, list) and old:
            new = _list(draw, old, others)
        else:
            new = _number(draw, schema[at].name)
        args = with_argument(args, at, new)
    return args, keywords
