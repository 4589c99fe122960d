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
  m.def("fetch_min(Tensor(a!) target, Tensor other) -> Tensor");
  m.def("fetch_min.int(Tensor(a!) target, int other) -> int");
  m.def("fetch_min.float(Tensor(a!) target, float other) -> float");
  m.def("fetch_max(Tensor(a!) target, Tensor other) -> Tensor");
  m.def("fetch_max.int(Tensor(a!) target, int other) -> int");
  m.def("fetch_max.float(Tensor(a!) target, float other) -> float");
  m.def("fetch_and(Tensor(a!) target, Tensor other) -> Tensor");
  m.def("fetch_and.int(Tensor(a!) target, int other) -> int");
  m.def("fetch_or(Tensor(a!) target, Tensor other) -> Tensor");
  m.def("fetch_or.int(Tensor(a!) target, int other) -> int");
  m.def("fetch_xor(Tensor(a!) target, Tensor other) -> Tensor");
  m.def("fetch_xor.int(Tensor(a!) target, int other) -> int");
  m.def(
      "fetch_add_below(Tensor(a!) target, Tensor other, Tensor limit)"
      " -> (Tensor old, Tensor success)");
  m.def("fetch_add_below.int(Tensor(a!) target, int other, int limit) -> (int old, bool success)");
  m.def(
      "fetch_add_below.float(Tensor(a!) target, float other, float limit)"
      " -> (float old, bool success)");
  m.def("fetch_add_checked(Tensor(a!) target, Tensor other) -> (Tensor old, Tensor overflowed)");
  m.def("fetch_add_checked.int(Tensor(a!) target, int other) -> (int old, bool overflowed)");
  m.def("add_(Tensor(a!) target, Tensor other, float alpha=1, int? seed=None) -> ()");
  m.def("add_.int(Tensor(a!) target, int other) -> ()");
  m.def("add_.float(Tensor(a!) target, float other) -> ()");
  m.def("sub_(Tensor(a!) target, Tensor other, float alpha=1, int? seed=None) -> ()");
  m.def("sub_.int(Tensor(a!) target, int other) -> ()");
  m.def("sub_.float(Tensor(a!) target, float other) -> ()");
  m.def("min_(Tensor(a!) target, Tensor other) -> ()");
  m.def("min_.int(Tensor(a!) target, int other) -> ()");
  m.def("min_.float(Tensor(a!) target, float other) -> ()");
  m.def("max_(Tensor(a!) target, Tensor other) -> ()");
  m.def("max_.int(Tensor(a!) target, int other) -> ()");
  m.def("max_.float(Tensor(a!) target, float other) -> ()");
  m.def("and_(Tensor(a!) target, Tensor other) -> ()");
  m.def("and_.int(Tensor(a!) target, int other) -> ()");
  m.def("or_(Tensor(a!) target, Tensor other) -> ()");
  m.def("or_.int(Tensor(a!) target, int other) -> ()");
  m.def("xor_(Tensor(a!) target, Tensor other) -> ()");
  m.def("xor_.int(Tensor(a!) target, int other) -> ()");
  m.def("index_add_(Tensor(a!) target, int dim, Tensor index, Tensor source, float alpha=1) -> ()");
  m.def("index_min_(Tensor(a!) target, int dim, Tensor index, Tensor source) -> ()");
  m.def("index_max_(Tensor(a!) target, int dim, Tensor index, Tensor source) -> ()");
  m.def("index_and_(Tensor(a!) target, int dim, Tensor index, Tensor source) -> ()");
  m.def("index_or_(Tensor(a!) target, int dim, Tensor index, Tensor source) -> ()");
  m.def("index_fetch_add(Tensor(a!) target, int dim, Tensor index, Tensor source) -> Tensor");
  m.def("index_exchange(Tensor(a!) target, int dim, Tensor index, Tensor source) -> Tensor");
  m.def(
      "index_compare_exchange("
      "Tensor(a!) target, int dim, Tensor index, Tensor expected, Tensor desired)"
      " -> (Tensor old, Tensor success)");

  // Waiting, for one element of int32 or int64. Negative: for ever, all.
  m.def("wait(Tensor(a!) target, int old, float timeout=-1) -> bool");
  m.def("notify(Tensor(a!) target, int count=-1) -> int");

  // Mutexes: a bank is a uint8 tensor of shape [n, 128].
  m.def("create_mutex(int n=1, *, Device? device=None) -> Tensor");
  m.def("create_mutex.like(Tensor(a!) token, int n=1) -> Tensor");
  m.def("mutex_init_(Tensor(a!) memory) -> ()");
  m.def("mutex_lock(Tensor(a!) mutex, int i=0, float timeout=-1) -> int");
  m.def("mutex_try_lock(Tensor(a!) mutex, int i=0) -> int");
  m.def("mutex_unlock(Tensor(a!) mutex, int i=0, bool pass_death_on=False) -> ()");
  m.def("mutex_consistent(Tensor(a!) mutex, int i=0) -> ()");
  m.def("mutex_owner(Tensor(a!) mutex, int i=0) -> int");

  m.def("mutex_recoveries(Tensor(a!) mutex) -> (int recoveries, int torn_stripes)");

  // Guarded: under a bank of mutexes over the stripes of target's storage. `first` is the mutex of
  // the storage's byte 0.
  m.def(
      "guarded_add_(Tensor(a!) mutex, Tensor(b!) target, Tensor other, float alpha=1, int first=0)"
      " -> ()");
  m.def(
      "guarded_load(Tensor(a!) mutex, Tensor(b!) target, bool consistent=False, int first=0)"
      " -> Tensor");
  m.def("guarded_store_(Tensor(a!) mutex, Tensor(b!) target, Tensor other, int first=0) -> ()");
  m.def(
      "guarded_exchange(Tensor(a!) mutex, Tensor(b!) target, Tensor other, int first=0)"
      " -> Tensor");
  m.def(
      "guarded_rebase_(Tensor(a!) mutex, Tensor(b!) target, Tensor seen, Tensor fresh,"
      " int first=0) -> ()");
  m.def(
      "guarded_index_add_(Tensor(a!) mutex, Tensor(b!) target, int dim, Tensor index,"
      " Tensor source, float alpha=1, int first=0) -> ()");
  m.def(
      "guarded_copy_(Tensor(a!)[] mutex, Tensor(b!)[] target, int[] first, Tensor(c!)[] out,"
      " Tensor(d!)[] source) -> ()");
  m.def(
      "guarded_sgd_(Tensor(a!) mutex, Tensor(b!)[] params, Tensor[] grads,"
      " Tensor(c!)[] momentum_buffers, Tensor(d!) steps, int[] first, *, float lr,"
      " float momentum=0, float dampening=0, float weight_decay=0, bool nesterov=False,"
      " bool maximize=False) -> ()");
  m.def(
      "guarded_adagrad_(Tensor(a!) mutex, Tensor(b!)[] params, Tensor[] grads,"
      " Tensor(c!)[] state_sums, Tensor(d!) steps, int[] first, *, float lr, float lr_decay=0,"
      " float weight_decay=0, float eps=1e-10, bool maximize=False) -> ()");
  m.def(
      "guarded_index_adagrad_(Tensor(a!) mutex, Tensor(b!) target, int dim, Tensor index,"
      " Tensor source, Tensor(c!) state_sum, Tensor(d!) steps, int first=0, *, float lr,"
      " float lr_decay=0, float eps=1e-10, bool maximize=False) -> ()");
  m.def(
      "guarded_adam_(Tensor(a!) mutex, Tensor(b!)[] params, Tensor[] grads,"
      " Tensor(c!)[] exp_avgs, Tensor(d!)[] exp_avg_sqs, Tensor(e!)[] max_exp_avg_sqs,"
      " Tensor(f!) steps, int[] first, *, float lr, float beta1=0.9, float beta2=0.999,"
      " float eps=1e-8, float weight_decay=0, bool decoupled_weight_decay=False,"
      " bool amsgrad=False, bool maximize=False) -> ()");

  // Handles: an int64 of no dimension names a tensor of this process, and its ops cannot be turned
  // to a clone of that by a compiler. They are the only ops that belong in a graph. `sleepers`: 1
  // of a Counter, 2 of a flag.
  m.def("handle(Tensor(a!) target, int sleepers=0) -> Tensor");
  m.def("handle.guarded(Tensor(a!) mutex, Tensor(b!) target, int first=0) -> Tensor");
  m.def("handle_release(Tensor(a!) handle) -> ()");
  m.def("handle_after(Tensor(a!) handle, Tensor[] tensors) -> ()");
  m.def("handle_load(Tensor(a!) handle, int[] size, ScalarType dtype) -> Tensor");
  m.def("handle_store_(Tensor(a!) handle, Tensor other) -> ()");
  m.def("handle_add_(Tensor(a!) handle, Tensor other, float alpha=1, int? seed=None) -> ()");
  m.def("handle_fetch_add(Tensor(a!) handle, Tensor other) -> Tensor");
  m.def("handle_guarded_add_(Tensor(a!) handle, Tensor other, float alpha=1) -> ()");
  m.def(
      "handle_guarded_add_.list(Tensor(a!) handle, Tensor(b!)[] more, Tensor[] others, float "
      "alpha=1) -> ()");

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
