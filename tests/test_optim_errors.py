"""What the optimizers refuse, in which words."""

from __future__ import annotations

import re

import pytest
import torch
from bad_arguments import misaligned, without_memory
from optimizers import params
from torch import Tensor, nn

from caffe2op_atomics import optim


def shared(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(shape).share_memory_())


def with_shared_gradient() -> nn.Parameter:
    parameter = shared(2)
    parameter.grad = torch.zeros(2).share_memory_()
    return parameter


def rows_from(row: int) -> Tensor:
    """A sparse gradient whose rows nobody has looked at."""
    index, values = torch.tensor([[row, row + 1]]), torch.ones(2, 2)
    return torch.sparse_coo_tensor(index, values, (2, 2), check_invariants=False)


@pytest.mark.filterwarnings("ignore:Sparse CSR")
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: optim.SGD([torch.zeros(2)]),
            RuntimeError,
            "SGD: parameter 0 must be shared (model.share_memory() first), got private memory",
        ),
        (
            lambda: optim.Adam([shared(1), nn.Parameter(torch.zeros(2, device="meta"))]),
            RuntimeError,
            "Adam: parameter 1 must be on cpu, got meta",
        ),
        (
            lambda: optim.SGD([nn.Parameter(torch.zeros(2).to_sparse())]),
            RuntimeError,
            "SGD: parameter 0 must be a dense tensor, got layout sparse_coo",
        ),
        (
            lambda: optim.AdamW(params([(2,)], torch.float16)),
            RuntimeError,
            "AdamW: parameter 0 must be float32, float64 or bfloat16, got float16",
        ),
        (
            lambda: optim.Adagrad([with_shared_gradient()]),
            RuntimeError,
            "Adagrad: parameter 0 must have no gradient in shared memory, got one, which "
            "share_memory() made of one that was there: zero_grad() first",
        ),
        (
            lambda: optim.Adam([shared(2)], capturable=True),
            ValueError,
            "Adam: capturable must be False, got True",
        ),
        (
            lambda: optim.SGD([shared(2)], differentiable=True),
            ValueError,
            "SGD: differentiable must be False, got True",
        ),
        (lambda: optim.SGD([shared(2)], lr=-1), ValueError, "Invalid learning rate: -1"),
        (
            lambda: optim.SGD([shared(2)]).add_param_group({"params": [shared(2)]}),
            RuntimeError,
            "add_param_group: groups must all be given to the constructor, got one later, which "
            "other processes would not see",
        ),
        (
            lambda: optim.Adam([shared(2)]).param_groups[0].update(amsgrad=True),
            ValueError,
            "param_groups: amsgrad must stay as it was made: other processes would not see it",
        ),
        (
            lambda: optim.Adam([shared(2)]).param_groups[0].update(params=[shared(2)]),
            ValueError,
            "param_groups: params must stay as it was made: other processes would not see it",
        ),
        (
            lambda: optim.Adam([shared(2)]).param_groups[0].update(betas=(0.5,)),
            ValueError,
            "param_groups: betas must be 2 numbers",
        ),
        (
            lambda: optim.SGD([shared(2)], momentum=0.5).param_groups[0].update(momentum=0),
            ValueError,
            "param_groups: momentum must stay other than 0: it decides what state there is",
        ),
        (
            lambda: optim.SGD([shared(2)]).param_groups[0].update(momentum=0.5),
            ValueError,
            "param_groups: momentum must be given to the constructor if it is not 0: it decides "
            "what state there is",
        ),
        (
            lambda: optim.SGD([shared(2)]).pull([torch.zeros(3)]),
            RuntimeError,
            "pull: parameter 0 of local_model must be float32 of shape [2] on cpu, got float32 of "
            "shape [3] on cpu",
        ),
        (
            lambda: optim.SGD([shared(2)]).step(grads_from=[torch.zeros(2).double()]),
            RuntimeError,
            "step: parameter 0 of grads_from must be float32 of shape [2] on cpu, got float64 of "
            "shape [2] on cpu",
        ),
        (
            lambda: optim.SGD([shared(2)]).snapshot(nn.Linear(1, 1)),
            RuntimeError,
            "snapshot: local_model must have the 1 parameters that are shared, got 2",
        ),
        (
            lambda: optim.SGD([{"params": [shared(1)]}, {"params": [shared(1)]}]).pull(
                nn.Linear(1, 1)
            ),
            RuntimeError,
            "pull: local_model must be the parameters in the order of the groups if there are "
            "several (or make the optimizer of named_parameters()), got a module",
        ),
        (
            lambda: optim.SGD([shared(2)]).step(grads_from=[torch.zeros(2)]),
            RuntimeError,
            "step: at least one gradient must be given, got none",
        ),
        (
            lambda: optim.SGD([shared(2)]).step(grads=[None]),
            RuntimeError,
            "step: at least one gradient must be given, got none",
        ),
        (
            lambda: optim.SGD([shared(2)]).step(grads=[]),
            RuntimeError,
            "step: grads must have one element for each of 1 parameters, got 0",
        ),
        (
            lambda: optim.SGD([shared(2)]).step(grads=[torch.ones(1, 2)]),
            RuntimeError,
            "step: gradient 0 must be float32 of shape [2] on cpu, got float32 of shape [1, 2] on "
            "cpu",
        ),
        (
            lambda: optim.SGD([shared(2, 2)]).step(grads=[torch.ones(2, 2).to_sparse_csr()]),
            RuntimeError,
            "step: gradient 0 must be dense or sparse by rows, got layout sparse_csr",
        ),
        (
            lambda: optim.SGD([shared(2)]).step(
                grads=[torch.ones(2)], grads_from=[nn.Parameter(torch.ones(2))]
            ),
            TypeError,
            "step: grads must not be given with grads_from, got both",
        ),
        (
            lambda: optim.SGD([shared(2)]).pull({"weight": torch.zeros(2)}),
            TypeError,
            "pull: local_model must be a module or its parameters, got dict",
        ),
        (
            lambda: optim.SGD([shared(2)]).step(),
            RuntimeError,
            "step: at least one parameter must have a gradient, got none: backward() was not "
            "called, or model and optimizer came to this process separately and are no longer "
            "linked (send them together: in one tuple, or in the args of one Process)",
        ),
    ],
)
def test_is_refused(call, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        call()


@pytest.mark.parametrize(
    ("make", "grad", "message"),
    [
        (
            lambda param: optim.SGD([param], momentum=0.5),
            torch.zeros(3, 2).index_fill(0, torch.tensor([1]), 1).to_sparse(1),
            "step: gradients must be dense for SGD with momentum or weight decay, got a sparse one",
        ),
        (
            lambda param: optim.Adagrad([param], weight_decay=0.5),
            torch.ones(3, 2).to_sparse(1),
            "step: gradients must be dense for Adagrad with weight decay, got a sparse one",
        ),
        (
            lambda param: optim.AdamW([param]),
            torch.ones(3, 2).to_sparse(1),
            "step: gradients must be dense for AdamW, got a sparse one (SGD and Adagrad take "
            "those)",
        ),
        (
            lambda param: optim.SGD([param]),
            torch.ones(3, 2).to_sparse(),
            "step: a sparse gradient must be sparse in its first dimension only, got 2 sparse "
            "dimensions",
        ),
    ],
)
def test_sparse_gradient_is_refused(make, grad, message):
    param = shared(3, 2)
    optimizer = make(param)
    param.grad = grad
    with pytest.raises(RuntimeError, match=f"^{re.escape(message)}$"):
        optimizer.step()
    assert not param.any()


def test_shared_parameters_are_not_pulled_into_themselves():
    parameter = shared(2)
    optimizer = optim.SGD([parameter])
    with pytest.raises(RuntimeError, match=r"^pull: local_model must have memory of its own"):
        optimizer.pull([parameter])


@pytest.mark.parametrize(
    ("kind", "refused", "message"),
    [
        (optim.Adam, torch.ones(2, 2).to_sparse(1), "gradients must be dense for Adam"),
        (optim.SGD, torch.ones(2, 2).to_sparse(2), "must be sparse in its first dimension only"),
        (optim.SGD, torch.ones(2, 2)._neg_view(), "gradient 1 must not be a negative view"),
        (optim.SGD, misaligned(torch.ones(2, 2)), "gradient 1 must be aligned"),
        (optim.SGD, without_memory(torch.ones(2, 2), 4), "gradient 1 must still have its memory"),
        (optim.SGD, rows_from(5), r"gradient 1 must have rows in \[0, 2\)"),
        (optim.Adagrad, torch.ones(2, 2).double(), "gradient 1 must be float32 of shape"),
    ],
)
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
def test_a_gradient_that_is_refused_changes_nothing(groups, own, kind, refused, message):
    first, second = shared(2), shared(2, 2)
    optimizer = kind([first, second] if groups == 1 else [{"params": [p]} for p in (first, second)])
    grads = [torch.ones(2), refused]
    if own and refused.dtype == second.dtype:
        first.grad, second.grad = grads
        grads = None
    with pytest.raises(RuntimeError, match=f"^step: .*{message}|^guarded_"):
        optimizer.step(grads=grads)
    assert not first.any()
    assert all(entry["step"] == 0 for entry in optimizer.state.values())


@pytest.mark.parametrize("of", ["parameter", "moment"])
def test_a_gradient_in_the_memory_of_a_parameter_or_moment_changes_nothing(of):
    first, second = shared(2), shared(2)
    optimizer = optim.Adam([{"params": [first]}, {"params": [second]}])
    taken = second.detach() if of == "parameter" else optimizer.state[second]["exp_avg"]
    with pytest.raises(RuntimeError, match="gradient 1 must have memory of its own"):
        optimizer.step(grads=[torch.ones(2), taken])
    assert not first.any()


def test_a_parameter_exchanged_in_its_group_is_refused():
    parameter = shared(2)
    optimizer = optim.SGD([parameter])
    optimizer.param_groups[0]["params"][0] = shared(2)
    with pytest.raises(RuntimeError, match="param_groups must stay as the constructor made them"):
        optimizer.step(grads=[torch.ones(2)])


def test_gradients_that_are_no_tensors_are_refused():
    with pytest.raises(TypeError, match=r"^step: grads\[1\] must be a tensor or None, got int$"):
        optim.SGD([shared(2), shared(2)]).step(grads=[torch.ones(2), 7])


def test_param_groups_that_were_replaced_are_refused():
    parameter = shared(2)
    optimizer = optim.SGD([parameter])
    optimizer.param_groups.append({"params": [shared(2)], "lr": 1.0})
    with pytest.raises(RuntimeError, match="param_groups must stay as the constructor made them"):
        optimizer.step(grads=[torch.ones(2)])
    assert not parameter.any()


def test_gradients_that_became_shared_are_refused():
    parameter = shared(2)
    optimizer = optim.SGD([parameter])
    parameter.grad = torch.ones(2).share_memory_()
    with pytest.raises(RuntimeError, match="must have no gradient in shared memory"):
        optimizer.step()
    assert not parameter.any()


def test_a_negative_step_is_not_loaded():
    optimizer = optim.Adam([shared(2)])
    optimizer.step(grads=[torch.ones(2)])
    state_dict = optimizer.state_dict()
    state_dict["state"][0]["step"] = torch.tensor(-1.0)
    with pytest.raises(ValueError, match="step must not be negative, got -1"):
        optimizer.load_state_dict(state_dict)
