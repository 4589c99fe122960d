"""GuardedTensor: guards a tensor where it is, and refuses what it cannot guard."""

from __future__ import annotations

import copy
import gc
import io
import multiprocessing
import os
import pickle
import re
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from op_table import DTYPES
from support import run_threads
from torch import nn

import caffe2op_atomics as atomics
from caffe2op_atomics import GuardedTensor, foreach_add_, snapshot


def counting(shape, dtype=torch.float32) -> torch.Tensor:
    return torch.arange(torch.Size(shape).numel()).reshape(shape).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (5,), (3, 0), (2, 3, 4), (6000, 5)], ids=str)
def test_every_dtype_and_shape_is_guarded(shape, dtype):
    start = counting(shape, dtype)
    guarded = GuardedTensor(start.clone())
    assert guarded.shape == torch.Size(shape)
    assert guarded.dtype == dtype
    assert guarded.snapshot().equal(start)
    assert guarded.exchange(1).equal(start)
    assert guarded.tensor.eq(1).all()
    assert guarded.store_(start) is guarded
    if dtype != torch.bool:
        assert guarded.add_(torch.ones_like(start), alpha=2) is guarded
        assert guarded.snapshot().equal(start + 2)
    assert GuardedTensor(shape, dtype=dtype).snapshot().equal(torch.zeros(shape, dtype=dtype))


def test_index_add_counts_equal_indices_and_takes_a_number():
    guarded = GuardedTensor(torch.zeros(4, 2))
    index = torch.tensor([3, 0, 3])
    assert guarded.index_add_(0, index, torch.tensor([[1.0, 2], [3, 4], [5, 6]])) is guarded
    assert guarded.snapshot().tolist() == [[3, 4], [0, 0], [0, 0], [6, 8]]
    guarded.index_add_(0, index, 0.5, alpha=-2)
    assert guarded.snapshot().tolist() == [[2, 3], [0, 0], [0, 0], [4, 6]]


def test_shapes_are_any_iterable_of_sizes_and_the_dtype_is_torchs_default():
    for shape in ([2, 3], (2, 3), torch.Size([2, 3]), torch.tensor([2, 3]).numpy()):
        guarded = GuardedTensor(shape)
        assert guarded.shape == (2, 3)
        assert guarded.dtype == torch.float32
    with torch.device("meta"):
        assert GuardedTensor([2]).add_(1).tensor.tolist() == [1, 1]


@pytest.mark.parametrize("shared", [False, True], ids=["private", "shared"])
def test_a_tensor_is_guarded_in_place(shared):
    tensor = counting((3, 4))
    if shared:
        tensor.share_memory_()
    address, view = tensor.data_ptr(), tensor[1:]
    guarded = GuardedTensor(tensor)
    assert tensor.is_shared()
    assert (tensor.data_ptr() == address) == shared
    guarded.add_(1)
    assert tensor.equal(counting((3, 4)) + 1)
    assert view.equal(counting((3, 4))[1:] + 1)
    assert guarded.tensor.data_ptr() == tensor.data_ptr()


def test_a_view_is_guarded_and_its_neighbours_are_left_alone():
    whole = torch.zeros(6, 8)
    guarded = GuardedTensor(whole[1:4, ::2].t())
    guarded.add_(torch.arange(12.0).view(4, 3))
    expected = torch.zeros(6, 8)
    expected[1:4, ::2] = torch.arange(12.0).view(4, 3).t()
    assert whole.equal(expected)
    assert guarded.snapshot().equal(torch.arange(12.0).view(4, 3))


def test_a_parameter_is_guarded_and_stays_one():
    module = nn.BatchNorm1d(3)
    weight, mean = GuardedTensor(module.weight), GuardedTensor(module.running_mean)
    weight.add_(1)
    mean.store_(torch.tensor([1.0, 2, 3]))
    assert module.weight.tolist() == [2, 2, 2]
    assert isinstance(module.weight, nn.Parameter)
    assert module.state_dict()["running_mean"].tolist() == [1, 2, 3]
    assert not weight.tensor.requires_grad
    assert not weight.snapshot().requires_grad


def test_memory_is_guarded_once():
    whole = torch.zeros(10)
    first = GuardedTensor(whole[:5])
    for part in (whole, whole[5:], first.tensor):
        with pytest.raises(RuntimeError, match=r"data must be guarded once, got memory of Guarded"):
            GuardedTensor(part)
    parameter = nn.Parameter(torch.zeros(2).share_memory_())
    optimizer = atomics.optim.SGD([parameter])
    with pytest.raises(RuntimeError, match=r"guarded once, got memory of SGD in this process"):
        GuardedTensor(parameter)
    with pytest.raises(RuntimeError, match=r"must have no other optimizer, got some of Guarded"):
        atomics.optim.SGD([nn.Parameter(whole)])
    del first, optimizer
    GuardedTensor(whole).add_(1)
    GuardedTensor(parameter).add_(1)
    of_zeros = GuardedTensor([3])
    with pytest.raises(RuntimeError, match="data must be guarded once"):
        GuardedTensor(of_zeros.tensor)


def test_no_descriptor_is_left_behind():
    tensor = torch.zeros(3).share_memory_()
    GuardedTensor(tensor)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(5):
        GuardedTensor(tensor).add_(1)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_several_are_changed_in_one_call():
    weights = [GuardedTensor(torch.zeros(2, 2)), GuardedTensor([3]), GuardedTensor([1])]
    foreach_add_(weights, (torch.tensor([1.0, 2]), torch.ones(3), torch.tensor(5.0)), alpha=2)
    foreach_add_(iter(weights[1:] * 2), [torch.ones(())] * 4)
    assert [each.tensor.tolist() for each in weights] == [[[2, 4], [2, 4]], [4, 4, 4], [12]]


@pytest.mark.parametrize(
    ("others", "error", "text"),
    [
        ([torch.ones(2)], RuntimeError, "foreach_add_: others must have 2 elements like guarded"),
        (
            [torch.ones(2), torch.ones(2)],
            RuntimeError,
            r"handle_guarded_add_: others\[1\] must broadc",
        ),
        ([torch.ones(2), 1.0], TypeError, r"foreach_add_: others\[1\] must be a Tensor, got float"),
        (torch.ones(2), TypeError, "foreach_add_: others must be a sequence, got Tensor"),
        (
            [torch.ones(2), torch.ones(3).to_sparse()],
            RuntimeError,
            r"foreach_add_: others\[1\] must be a dense tensor, got layout sparse_coo",
        ),
    ],
)
def test_several_are_refused_before_the_first_is_changed(others, error, text):
    weights = [GuardedTensor([2]), GuardedTensor([3])]
    with pytest.raises(error, match=f"^{text}"):
        foreach_add_(weights, others)
    with pytest.raises(
        TypeError, match=r"^foreach_add_: guarded\[1\] must be a GuardedTensor, got T"
    ):
        foreach_add_([weights[0], torch.zeros(3)], [torch.ones(2), torch.ones(3)])
    assert weights[0].tensor.tolist() == [0, 0]


def test_tensors_share_a_bank_and_a_snapshot():
    weights = GuardedTensor(torch.ones(9000))
    steps = GuardedTensor([1], dtype=torch.int64, bank=weights)
    third = GuardedTensor(torch.zeros(2, 2), bank=steps)
    assert weights._bank.data_ptr() == steps._bank.data_ptr() == third._bank.data_ptr()
    steps.add_(4)
    one, two, three, again = snapshot(weights, steps, third, steps)
    assert one.equal(torch.ones(9000))
    assert (two.tolist(), again.tolist(), three.tolist()) == ([4], [4], [[0, 0], [0, 0]])
    other = GuardedTensor([2])
    assert [each.tolist() for each in snapshot(other, steps)] == [[0, 0], [4]]
    one.zero_()
    assert weights.tensor.eq(1).all()


def test_the_limit_of_a_snapshot_is_said():
    large = [GuardedTensor([600 * 4096]) for _ in range(2)]
    with pytest.raises(RuntimeError, match="be under at most 1024 mutexes together"):
        snapshot(*large)
    snapshot(large[0], GuardedTensor([600 * 4096], bank=large[0]))


def test_a_worker_in_a_thread_loses_nothing():
    guarded = GuardedTensor([50_000], dtype=torch.int32)
    run_threads(2, lambda _: [guarded.add_(1) for _ in range(300)])
    assert guarded.tensor.eq(600).all()


def test_repr_shows_the_elements_and_bool_is_refused():
    assert repr(GuardedTensor(torch.tensor([1, 2]))) == "GuardedTensor([1, 2])"
    matrix = "GuardedTensor([[0., 0.],\n               [0., 0.]])"
    assert repr(GuardedTensor([2, 2])) == matrix
    with pytest.raises(TypeError, match=r"neither true nor false; ask its snapshot\(\)$"):
        bool(GuardedTensor([1]))


def test_comparison_goes_by_identity_and_not_by_value():
    one = GuardedTensor([1])
    for value, kind in ((0, "number"), (torch.zeros(1), "tensor")):
        with pytest.raises(TypeError, match=f"compared by identity, not with a {kind}"):
            one == value  # noqa: B015
    assert one == one
    assert one != GuardedTensor([1])


def save(guarded: object) -> None:
    torch.save(guarded, io.BytesIO())


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, pickle.dumps, save])
def test_copies_raise_and_name_the_way(way):
    with pytest.raises(TypeError, match=r"cannot pickle or copy GuardedTensor.*torch\.multiproc"):
        way(GuardedTensor([1]))


def test_another_sharing_strategy_is_refused(strategy):
    whole = GuardedTensor([1])
    memory = torch.zeros(1).share_memory_()
    other = ({"file_descriptor", "file_system"} - {strategy}).pop()
    mp.set_sharing_strategy(other)
    address = memory.data_ptr()
    for guarded in (whole, GuardedTensor(memory)):  # the second has its bank under the other
        with pytest.raises(RuntimeError, match=re.escape(f"sharing strategy must be '{strategy}'")):
            multiprocessing.reduction.ForkingPickler.dumps(guarded)
    assert memory.data_ptr() == address


def test_gradients_are_neither_recorded_nor_needed():
    source = torch.ones(3, requires_grad=True)
    guarded = GuardedTensor([3])
    guarded.add_(source).store_(source)
    assert not guarded.exchange(source).requires_grad
    assert not guarded.tensor.requires_grad


def test_bank_stays_mapped_while_its_tensor_lives():
    """To map it again would take a hundred times as long as a small update."""

    def mappings() -> int:
        return len(Path("/proc/self/maps").read_text().splitlines())

    before = mappings()
    tensors = [GuardedTensor([3]) for _ in range(300)]
    for each in tensors * 2:
        each.add_(1)
    # Of each the elements, the bank, and the bank as the library locks it.
    assert mappings() - before >= 3 * len(tensors)
    del each, tensors
    gc.collect()
    assert mappings() - before < 150
