// The contract: one line per op, what it mutates marked (a!). No kernels, no checks.
//
// Reads are marked (a!) too: torch.compile must not move them and TorchScript must not freeze them
// into constants. The Tensor overload comes first: torch tries them in this order, and `.int` would
// take a 0-dim tensor for a number.
#include <torch/csrc/stable/library.h>

STABLE_TORCH_LIBRARY(atomics, m) {
  // Lock-free, any tensor.
  m.def("load(Tensor(a!) target) -> Tensor");
  m.def("load.int(Tensor(a!) target) -> int");
  m.def("load.float(Tensor(a!) target) -> float");
  m.def("store_(Tensor(a!) target, Tensor other) -> ()");
  m.def("store_.int(Tensor(a!) target, int other) -> ()");
  m.def("store_.float(Tensor(a!) target, float other) -> ()");
  m.def("exchange(Tensor(a!) target, Tensor other) -> Tensor");
  m.def("exchange.int(Tensor(a!) target, int other) -> int");
  m.def("exchange.float(Tensor(a!) target, float other) -> float");
  m.def(
      "compare_exchange(Tensor(a!) target, Tensor expected, Tensor desired)"
      " -> (Tensor old, Tensor success)");
  m.def(
      "compare_exchange.int(Tensor(a!) target, int expected, int desired)"
      " -> (int old, bool success)");
  m.def(
      "compare_exchange.float(Tensor(a!) target, float expected, float desired)"
      " -> (float old, bool success)");
  m.def("fetch_add(Tensor(a!) target, Tensor other) -> Tensor");
  m.def("fetch_add.int(Tensor(a!) target, int other) -> int");
  m.def("fetch_add.float(Tensor(a!) target, float other) -> float");
  m.def("fetch_sub(Tensor(a!) target, Tensor other) -> Tensor");
  m.def("fetch_sub.int(Tensor(a!) target, int other) -> int");
  m.def("fetch_sub.float(Tensor(a!) target, float other) -> float");
  m.def("add_(Tensor(a!) target, Tensor other, float alpha=1) -> ()");
  m.def("add_.int(Tensor(a!) target, int other) -> ()");
  m.def("add_.float(Tensor(a!) target, float other) -> ()");
  m.def("sub_(Tensor(a!) target, Tensor other, float alpha=1) -> ()");
  m.def("sub_.int(Tensor(a!) target, int other) -> ()");
  m.def("sub_.float(Tensor(a!) target, float other) -> ()");
  m.def("index_add_(Tensor(a!) target, int dim, Tensor index, Tensor source, float alpha=1) -> ()");

  // Mutexes: a bank is a uint8 tensor of shape [n, 128].
  m.def("create_mutex(int n=1, *, Device? device=None) -> Tensor");
  m.def("create_mutex.like(Tensor(a!) token, int n=1) -> Tensor");
  m.def("mutex_init_(Tensor(a!) memory) -> ()");
  m.def("mutex_lock(Tensor(a!) mutex, int i=0, float timeout=-1) -> int");
  m.def("mutex_try_lock(Tensor(a!) mutex, int i=0) -> int");
  m.def("mutex_unlock(Tensor(a!) mutex, int i=0) -> ()");
  m.def("mutex_consistent(Tensor(a!) mutex, int i=0) -> ()");
  m.def("mutex_owner(Tensor(a!) mutex, int i=0) -> int");

  // Caffe2's ops. The flag is an int32 tensor of shape [1].
  m.def(
      "atomic_fetch_add(Tensor(a!) mutex, Tensor(b!) mut_value, Tensor increment)"
      " -> (Tensor new, Tensor old)");
  m.def(
      "atomic_fetch_add64(Tensor(a!) mutex, Tensor(b!) mut_value, Tensor increment)"
      " -> (Tensor new, Tensor old)");
  m.def("create_atomic_bool(*, Device? device=None) -> Tensor");
  m.def("create_atomic_bool.like(Tensor(a!) token) -> Tensor");
  m.def("conditional_set_atomic_bool(Tensor(a!) atomic_bool, Tensor condition) -> ()");
  m.def("check_atomic_bool(Tensor(a!) atomic_bool) -> Tensor");
  m.def("atomic_iter(Tensor(a!) mutex, Tensor(b!) iter) -> Tensor");
}
