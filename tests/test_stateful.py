"""Random calls on random targets, against a model of the whole storage in plain Python.

The neighbours of a target in its storage belong to the model: no call changes them. A refused call
changes nothing at all.
"""

from __future__ import annotations

from typing import Any, ClassVar

import meaning
import pytest
import torch
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from op_table import DENSE, INDEXED, NUMBER, Op
from targets import cells_of, dtypes, elements, layouts, numel, operands, tensor_of
from torch import Tensor

INT_ALPHAS = st.integers(-3, 3)
FLOAT_ALPHAS = st.sampled_from([1, 0, -1, 2, 0.5, 0.1, -3.7])


def takes(op: Op, argument: str) -> bool:
    return any(each.name == argument for each in op.overload._schema.arguments)


def operand_count(op: Op) -> int:
    """Of the tensors or numbers that an element of target is combined with."""
    others = {"target", "dim", "index", "alpha", "seed"}
    return sum(argument.name not in others for argument in op.overload._schema.arguments)


class Target(RuleBasedStateMachine):
    reached: ClassVar[set[str]] = set()

    @initialize(data=st.data(), dtype=dtypes, layout=layouts())
    def make(self, data, dtype, layout):
        self.dtype, self.shape = dtype, layout.shape
        self.model = data.draw(elements(dtype, layout.cells))
        self.storage = tensor_of(dtype, self.model, (-1,))
        self.target = self.storage.as_strided(layout.shape, layout.strides, layout.offset)
        self.positions = layout.positions()

    def draw_op(self, data: Any, ops: list[Op]) -> Op:
        op = data.draw(st.sampled_from([op for op in ops if self.dtype in op.dtypes]))
        self.reached.add(op.name)
        return op

    def draw_alpha(self, data: Any, op: Op) -> list[float]:
        alphas = FLOAT_ALPHAS if self.dtype.is_floating_point else INT_ALPHAS
        return [data.draw(alphas)] if takes(op, "alpha") else []

    def check_memory(self) -> None:
        """The storage is as the model says, and the model knows the bits of its NaNs."""
        cells = cells_of(self.storage)
        wrong = [at for at, cell in enumerate(cells) if not self.same(cell, self.model[at])]
        assert not wrong, [(at, self.model[at], cells[at]) for at in wrong]
        self.model = cells

    def same(self, one: bytes, other: bytes) -> bool:
        return meaning.same(self.dtype, one, other)

    def check_results(
        self, op: Op, results: Any, shape: tuple[int, ...], olds: list[bytes], flags: list[Any]
    ) -> None:
        returns = op.overload._schema.returns
        if not returns:
            assert results is None
            return
        old, *rest = results if len(returns) > 1 else (results,)
        assert (old.dtype, old.shape, old.is_contiguous()) == (self.dtype, shape, True)
        assert all(self.same(*pair) for pair in zip(cells_of(old), olds, strict=True))
        for flag in rest:
            assert (flag.dtype, flag.shape) == (torch.bool, shape)
            assert flag.flatten().tolist() == flags

    @rule(data=st.data())
    def dense(self, data):
        op = self.draw_op(data, DENSE)
        others = [data.draw(operands(self.dtype, self.shape)) for _ in range(operand_count(op))]
        alpha = self.draw_alpha(data, op)
        results = op.overload(self.target, *(tensor for tensor, _ in others), *alpha)
        olds, flags = [], []
        for i, at in enumerate(self.positions):
            olds.append(self.model[at])
            self.model[at], flag = meaning.apply(
                meaning.stem(op.name),
                self.dtype,
                self.model[at],
                *(cells[i] for _, cells in others),
                alpha=alpha[0] if alpha else 1,
            )
            flags.append(flag)
        self.check_results(op, results, self.shape, olds, flags)
        self.check_memory()

    @rule(data=st.data())
    def numbers(self, data):
        assume(self.positions)
        for _ in range(4):  # there are many overloads
            self.number(data, self.draw_op(data, NUMBER))

    def number(self, data: Any, op: Op) -> None:
        at = data.draw(st.sampled_from(self.positions))
        numbers = [
            meaning.decode(self.dtype, data.draw(elements(self.dtype, 1))[0])
            for _ in range(operand_count(op))
        ]
        result = op.overload(self.storage[at], *numbers)
        old = self.model[at]
        self.model[at], flag = meaning.apply(
            meaning.stem(op.name.split(".")[0]),
            self.dtype,
            old,
            *(meaning.encode(self.dtype, number) for number in numbers),
        )
        if op.returns_numbers:
            returned = result if isinstance(result, tuple) else (result,)
            assert self.same(meaning.encode(self.dtype, returned[0]), old)
            assert returned[1:] == ((flag,) if len(returned) > 1 else ())
        self.check_memory()

    @rule(data=st.data(), index_dtype=st.sampled_from([torch.int32, torch.int64]))
    def indexed(self, data, index_dtype):
        assume(len(self.shape) > 0 and self.shape[0] > 0)
        op = self.draw_op(data, INDEXED)
        rows = data.draw(st.lists(st.integers(0, self.shape[0] - 1), max_size=7))
        shape = (len(rows), *self.shape[1:])
        layout = data.draw(layouts(st.just(shape)))
        sources = []
        for _ in range(operand_count(op)):
            cells = data.draw(elements(self.dtype, layout.cells))
            whole = tensor_of(self.dtype, cells, (-1,))
            tensor = whole.as_strided(shape, layout.strides, layout.offset)
            sources.append((tensor, [cells[at] for at in layout.positions()]))
        alpha = self.draw_alpha(data, op)
        index = torch.tensor(rows, dtype=index_dtype)
        results = op.overload(self.target, 0, index, *(tensor for tensor, _ in sources), *alpha)

        width = numel(self.shape[1:])
        olds: list[Any] = [None] * (len(rows) * width)
        flags = list(olds)
        for row in set(rows):
            members = [i for i, each in enumerate(rows) if each == row]
            for column in range(width):
                at = self.positions[row * width + column]
                self.model[at], found = meaning.apply_indexed(
                    meaning.stem(op.name),
                    self.dtype,
                    self.model[at],
                    [tuple(cells[i * width + column] for _, cells in sources) for i in members],
                    alpha=alpha[0] if alpha else 1,
                )
                for i, (old, flag) in zip(members, found, strict=True):
                    olds[i * width + column], flags[i * width + column] = old, flag
        self.check_results(op, results, shape, olds, flags)
        self.check_memory()

    def refuse(self, op: Op, *args: Any) -> None:
        with pytest.raises(RuntimeError):
            op.overload(*args)
        assert cells_of(self.storage) == self.model

    def good(self, op: Op, shape: tuple[int, ...]) -> list[Tensor]:
        return [torch.ones(shape, dtype=self.dtype) for _ in range(operand_count(op))]

    @rule(data=st.data())
    def refused_target(self, data):
        """A dtype that the op is not for; several elements in one place."""
        unfit = [op for op in DENSE if self.dtype not in op.dtypes]
        if unfit:
            op = data.draw(st.sampled_from(unfit))
            self.refuse(op, self.target, *self.good(op, self.shape))
        op = self.draw_op(data, DENSE)
        if self.positions and operand_count(op):  # to read it is harmless
            self.refuse(op, self.target.expand(2, *self.shape), *self.good(op, self.shape))
        self.refuse(op, self.target.to(torch.complex64), *self.good(op, self.shape))

    @rule(data=st.data())
    def refused_operand(self, data):
        """One of them of another dtype, another shape or in target's own memory."""
        op = self.draw_op(data, [op for op in DENSE if operand_count(op)])
        others = self.good(op, self.shape)
        at = data.draw(st.integers(0, len(others) - 1))
        other = torch.int16 if self.dtype == torch.int32 else torch.int32
        wide = (self.shape[-1] + 2,) if self.shape else (2,)
        bad = [others[at].to(other), torch.ones(wide, dtype=self.dtype), others[at].to("meta")]
        if self.positions:
            bad.append(self.target)
        others[at] = data.draw(st.sampled_from(bad))
        self.refuse(op, self.target, *others)

    @rule(data=st.data(), alpha=st.sampled_from([0.5, 2.0**64, float("nan"), -float("inf")]))
    def refused_alpha(self, data, alpha):
        assume(not self.dtype.is_floating_point and self.dtype != torch.bool)
        op = self.draw_op(data, [op for op in DENSE if takes(op, "alpha")])
        self.refuse(op, self.target, *self.good(op, self.shape), alpha)

    @rule(data=st.data(), excess=st.sampled_from([1, 2**40]))
    def refused_number(self, data, excess):
        assume(self.positions)
        op = self.draw_op(data, NUMBER)
        if len(self.positions) != 1:
            self.refuse(op, self.target, *[1] * operand_count(op))
        if op.name.endswith(".int") and operand_count(op) and self.dtype != torch.int64:
            info = None if self.dtype == torch.bool else torch.iinfo(self.dtype)
            least, most = (info.min, info.max) if info else (0, 1)
            beyond = data.draw(st.sampled_from([least - excess, most + excess]))
            numbers = [1] * operand_count(op)
            numbers[data.draw(st.integers(0, len(numbers) - 1))] = beyond
            self.refuse(op, self.storage[self.positions[0]], *numbers)

    @rule(data=st.data(), beyond=st.sampled_from([0, 1, 2**31, -(2**62)]))
    def refused_index(self, data, beyond):
        """Any place in the call: indices before it have changed nothing."""
        assume(len(self.shape) > 0)
        op = self.draw_op(data, INDEXED)
        rows = [0] * data.draw(st.integers(0, 3)) if self.shape[0] else []
        rows.append(data.draw(st.sampled_from([self.shape[0] + beyond, -1 - abs(beyond)])))
        rows = data.draw(st.permutations(rows))
        shape = (len(rows), *self.shape[1:])
        self.refuse(op, self.target, 0, torch.tensor(rows), *self.good(op, shape))

    @rule(data=st.data())
    def refused_rows(self, data):
        assume(len(self.shape) > 0 and self.shape[0] > 0)
        op = self.draw_op(data, INDEXED)
        index = torch.zeros(2, dtype=torch.int64)
        fit = self.good(op, (2, *self.shape[1:]))
        self.refuse(op, self.target, 1, index, *fit)
        self.refuse(op, self.target, 0, index, *self.good(op, (3, *self.shape[1:])))
        self.refuse(op, self.target, 0, index.double(), *fit)
        self.refuse(op, self.target, 0, index.reshape(1, 2), *fit)


@pytest.mark.timeout(300)
def test_random_calls_do_what_the_model_does():
    run_state_machine_as_test(
        Target,
        settings=settings(
            max_examples=100,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert Target.reached == {op.name for op in DENSE + NUMBER + INDEXED}
