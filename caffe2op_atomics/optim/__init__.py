"""torch.optim over shared parameters: exact while many threads and processes step at once.

    >>> import caffe2op_atomics as atomics
    >>> model = torch.nn.Linear(2, 1)
    >>> _ = model.share_memory()  # first
    >>> optimizer = atomics.optim.Adam(model.parameters(), lr=0.01)  # once, then to all workers

Constructors, ``param_groups``, ``zero_grad``, ``state_dict`` and ``load_state_dict`` are those of
torch.optim, and so are the results of a single worker, to rounding. What is different:

* **Make one optimizer, in the parent, and pass it to the workers together with the model**, in the
  args of one process or in one tuple through a queue of torch.multiprocessing: sent separately
  they are no longer linked. A second optimizer over a parameter raises, in another process too;
  plain pickle and deepcopy raise.
* Moments and step counts lie in shared memory. A parameter and its moments change together, under
  locks of 16 KiB stripes of the parameter: no update is lost or applied to a half of them, and
  Adam's bias correction is that of all workers' steps. Plain reads of the parameters, as in a
  forward pass, see whole numbers, some of which may be a step older than others.
* Numeric options (``lr``, ``betas``, ``momentum`` ...) lie in shared memory: a scheduler in one
  process acts for all, so **run it in one process only**, which counts the steps of all. Options
  that decide what state there is (``amsgrad``, momentum or none) stay as they were made.
* ``pull(local_model)`` copies one consistent version of the parameters into a model of this
  process, and ``step(grads_from=local_model)`` applies its gradients: the two lines of A3C.
* ``state_dict()`` copies one moment, and ``snapshot(local_model)`` parameters and state together;
  ``load_state_dict()`` writes into the shared memory, for all processes.
* ``step()`` raises if no parameter has a gradient.
* A worker that dies in a step leaves at most one stripe in which the parameter and its moments
  differ by one step; ``torn_stripes`` counts those, ``recoveries`` all deaths. Nothing hangs.

Parameters are float32, float64 or bfloat16 on the CPU; a bfloat16 one has float32 moments.
"""

from __future__ import annotations

from .adagrad import Adagrad
from .adam import Adam, AdamW
from .sgd import SGD

__all__ = ["SGD", "Adagrad", "Adam", "AdamW"]
