"""Sparse gradients step as with torch.optim."""

from __future__ import annotations

import copy

import pytest
import torch
from optimizers import assert_same, give_grads, named, ours, params, private, torchs
from torch import nn

from caffe2op_atomics import optim


def sparse(coalesced: bool, dtype: torch.dtype) -> torch.Tensor:
    index, values = torch.tensor([[3, 0, 3, 7]]), torch.tensor([[1.0, 2], [3, 4], [5, -6], [7, 8]])
    grad = torch.sparse_coo_tensor(index, values.to(dtype), (9, 2), check_invariants=True)
    return grad.coalesce() if coalesced else grad


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("coalesced", [True, False])
@pytest.mark.parametrize(
    "case",
    [
        ("SGD", {"lr": 0.1}),
        ("SGD", {"lr": 0.1, "maximize": True}),
        ("Adagrad", {"lr": 0.1}),
        ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.1, "eps": 1e-3}),
        ("Adagrad", {"lr": 0.1, "maximize": True}),
    ],
    ids=named,
)
def test_sparse_gradients_are_taken_beside_dense_ones(case, coalesced, dtype):
    kind, options = case
    shared = params([(3,), (9, 2), (4, 2), (9, 2)], dtype)
    local = private(shared)
    mine, reference = ours(kind, shared, **options), torchs(kind, local, **options)
    for step in range(3):
        give_grads(shared, local, seed=step)
        for one in (shared, local):
            one[1].grad = sparse(coalesced, dtype)
            one[3].grad = sparse(True, dtype) if step else None
        mine.step()
        reference.step()
    assert_same(shared, local)
    if kind == "Adagrad":
        states = mine.state_dict()["state"]
        assert [states[number]["step"].item() for number in range(4)] == [3, 3, 3, 2]


def test_sparse_embedding_trains():
    bag = nn.EmbeddingBag(20, 4, sparse=True).share_memory()
    twin = copy.deepcopy(bag)
    mine, reference = optim.Adagrad(bag.parameters()), torch.optim.Adagrad(twin.parameters())
    for network, optimizer in ((bag, mine), (twin, reference)):
        network(torch.tensor([[1, 1, 3], [5, 3, 0]])).pow(2).sum().backward()
        optimizer.step()
    assert_same([bag.weight], [twin.weight])
