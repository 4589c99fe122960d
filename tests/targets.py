"""Random targets, operands and the elements in them, as hypothesis strategies."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import meaning
import torch
from hypothesis import strategies as st
from op_table import DTYPES
from torch import Tensor


def values(dtype: torch.dtype) -> st.SearchStrategy[float]:
    if dtype == torch.bool:
        return st.integers(0, 1)
    if dtype.is_floating_point:
        edges = [0.0, -0.0, 1.0, -1.0, float("inf"), -float("inf"), float("nan")]
        info = torch.finfo(dtype)
        edges += [info.max, info.min, info.tiny, info.smallest_normal / 2, info.eps]
        # Many that are near each other, whose sums have to be rounded.
        near = st.floats(-1000, 1000)
        return st.one_of(st.sampled_from(edges), near, st.floats(info.min, info.max))
    limits = torch.iinfo(dtype)
    small = st.integers(max(-3, limits.min), 3)
    edges = st.sampled_from([limits.min, limits.min + 1, limits.max - 1, limits.max])
    return st.one_of(small, edges, st.integers(limits.min, limits.max))


def elements(dtype: torch.dtype, count: int) -> st.SearchStrategy[list[bytes]]:
    """Of few different values, so that comparisons find equals."""
    one = values(dtype).map(lambda value: meaning.encode(dtype, value))
    pool = st.lists(one, min_size=1, max_size=6)
    return pool.flatmap(lambda few: st.lists(st.sampled_from(few), min_size=count, max_size=count))


def tensor_of(dtype: torch.dtype, cells: list[bytes], shape: tuple[int, ...]) -> Tensor:
    if not cells:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(bytearray(b"".join(cells)), dtype=dtype).reshape(shape)


def cells_of(tensor: Tensor) -> list[bytes]:
    """All elements of the storage, in the order of memory."""
    memory, size = bytes(tensor.untyped_storage()), tensor.itemsize
    return [memory[at : at + size] for at in range(0, len(memory), size)]


def numel(shape: tuple[int, ...]) -> int:
    return torch.Size(shape).numel()


@dataclass
class Layout:
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int  # in elements of the storage, as the strides
    cells: int  # of the storage, what lies around the tensor included

    def positions(self) -> list[int]:
        """Of the elements, in row-major order."""
        return [
            self.offset + sum(i * s for i, s in zip(at, self.strides, strict=True))
            for at in itertools.product(*map(range, self.shape))
        ]


# Some long enough for the kernels that update a word of neighbours at a time.
_SHAPES = st.one_of(
    st.lists(st.integers(0, 4), max_size=3).map(tuple),
    st.tuples(st.integers(1, 40)),
    st.tuples(st.integers(1, 3), st.integers(5, 24)),
)


@st.composite
def layouts(draw: st.DrawFn, shapes: st.SearchStrategy[tuple[int, ...]] = _SHAPES) -> Layout:
    """Any order of dimensions, gaps between the elements, memory before and after them."""
    shape = draw(shapes)
    order = list(range(len(shape)))
    if draw(st.booleans()):
        order = draw(st.permutations(order))
    strides, step = [0] * len(shape), 1
    for d in reversed(order):
        step *= draw(st.sampled_from([1, 1, 1, 2]))
        strides[d] = step
        step *= max(shape[d], 1)
    offset = draw(st.integers(0, 5))
    return Layout(shape, tuple(strides), offset, offset + step + draw(st.integers(1, 5)))


@st.composite
def operands(
    draw: st.DrawFn, dtype: torch.dtype, shape: tuple[int, ...]
) -> tuple[Tensor, list[bytes]]:
    """A tensor that broadcasts to shape, of any layout, and what each element of shape gets."""
    own = tuple(draw(st.sampled_from([size, size, size, 1])) for size in shape)
    own = own[draw(st.integers(0, sum(1 for _ in itertools.takewhile(lambda n: n == 1, own)))) :]
    layout = draw(layouts(st.just(own)))
    cells = draw(elements(dtype, layout.cells))
    tensor = tensor_of(dtype, cells, (-1,)).as_strided(own, layout.strides, layout.offset)
    where = torch.tensor(layout.positions(), dtype=torch.int64).reshape(own).expand(shape)
    return tensor, [cells[at] for at in where.flatten().tolist()]


dtypes = st.sampled_from(DTYPES)
