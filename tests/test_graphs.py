"""Whatever surrounds it in a graph, a cell is changed where it is; results are as in eager code.

The library tells the address of every target that it is about to touch: none is a clone.
"""

from __future__ import annotations

import graphs_control
import graphs_data
import graphs_views
import graphs_written
import pytest
import torch
from graph_cells import FIRST, SECOND
from graphs import CASES
from graphs_control import WEIGHT
from support import NO_WARNINGS
from torch import Tensor
from torch.utils._pytree import tree_leaves
from touched import touched

# They enter their shapes.
assert graphs_control, graphs_data
assert graphs_views, graphs_written

pytestmark = [*NO_WARNINGS, pytest.mark.usefixtures("fresh_compiler")]

BACKENDS = ["inductor", "aot_eager"]


def outcome(function, cell, x):
    """Copies of what a call returns, of the data it may have changed, and of gradients."""
    WEIGHT.grad = None
    results = tree_leaves(function(cell, x))
    graded = [each.sum() for each in results if isinstance(each, Tensor) and each.requires_grad]
    if graded:
        sum(graded).backward()
    return [
        each.detach().tolist() if isinstance(each, Tensor) else each
        for each in (*results, x, WEIGHT.grad)
    ]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_compiled_is_as_eager_in_the_caller_s_memory(case, backend):
    compiled = torch.compile(case.shape, backend=backend, fullgraph=case.whole)
    eager_cell, cell = case.kind(), case.kind()
    for call in range(2):
        eager_x, x = torch.arange(4) + call, torch.arange(4) + call
        with touched() as by_eager:
            expected = outcome(case.shape, eager_cell, eager_x)
        with touched() as by_compiled:
            assert outcome(compiled, cell, x) == expected
        assert cell.memory.tolist() == eager_cell.memory.tolist()
        changed = 0
        for at in (FIRST, SECOND):  # the order is kept of the ops on each, not of all
            here = by_compiled.within(cell.memory[at])
            changed += len(here)
            if cell.told_in_eager:
                assert here == by_eager.within(eager_cell.memory[at])
        elsewhere = len(by_eager.targets) - len(by_eager.within(eager_cell.memory))
        assert len(by_compiled.targets) == changed + elsewhere
        assert changed or not case.whole
    if case.whole:
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
