"""A compiled training step with exact updates against the racy one, as ratios from one run.

    python benchmarks/compile.py [--json | --markdown] [--plot FILE] [--only TEXT]

The step: a perceptron with one hidden layer, cross entropy, its gradients (``torch.func.grad``), an
update of its 4 weights and of a count of steps, by inductor. The first three are one graph
(``fullgraph=True`` raises otherwise):

- exact: `foreach_add_` on GuardedTensors and `Counter.next()`, which are ops on handles there;
- weight by weight: `GuardedTensor.add_` instead, four times;
- racy: `sub_` and `add_`, which inductor fuses into its loops;
- graph breaks, exact: `torch.ops.atomics.guarded_add_` and `add_`, on tensors;
- eager, exact: the first, not compiled.

| what | against | at most |
|---|---|---|
| 784 to 256 to 10, 64 samples; 784 to 1024 to 10, 256 samples; 1 and 2 processes | racy | 1.05x |

The rows without a target are there to compare: a step so short that the calls of the ops show, and
one whose total of the last bias is known. It and the counts of all others are the updates that are
said to be lost. The ways of the others work on the same weights: where memory happens to lie is
worth some percent. All are measured in turn, several times, and the medians compared; torch uses
one thread, every process has a core of its own as far as there are any.

With 256 hidden units that is at the limit, in docs/benchmarks.md, too. Most of what a step takes
more is torch's way from Python to an op, once for the weights and once for the count, and dynamo's
look at the handles.
"""

from __future__ import annotations

from _compare import run
from _compile_cases import cases

if __name__ == "__main__":
    run(cases(), __doc__)
