"""Keeps torch from running an op on a handle a second time, in the backward of a compiled graph.

To save memory, the partitioner that splits a graph into forward and backward may calculate again
what it could keep: by default cheap ops only, with ``activation_memory_budget`` or
``aggressive_recomputation`` any. What ours return, and the handles after them, it has to keep.
"""

from __future__ import annotations

import operator
from typing import Any

from torch import Tensor

from . import _library

_NAME = "choose_saved_values_set"


def install() -> None:
    """Have the results of our ops kept."""
    from torch._functorch import partitioners

    choose = getattr(partitioners, _NAME)

    def choose_and_keep(joint_graph: Any, node_info: Any, *args: Any, **keywords: Any) -> list[Any]:
        kept = list(choose(joint_graph, node_info, *args, **keywords))
        for node in joint_graph.nodes:
            if _is_ours(node) and node in node_info.required_fw_nodes:
                results = [user for user in node.users if user.target is operator.getitem] or [node]
                kept += [
                    result
                    for result in results
                    if isinstance(result.meta.get("val"), Tensor) and result not in kept
                ]
        return kept

    setattr(partitioners, _NAME, choose_and_keep)


def _is_ours(node: Any) -> bool:
    """Return whether a node is an op of ours, by itself or made functional."""
    called = [node.target, *node.args[:1]]
    return any(getattr(each, "namespace", None) == _library.NAMESPACE for each in called)
