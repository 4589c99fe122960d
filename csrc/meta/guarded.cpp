// The Meta kernels of the guarded ops: what they return, for tracing, and the checks that need no
// sizes, see shapes.h.
#include "shapes.h"

namespace atomics::meta {

namespace {

void check_target(const char* op, const Tensor& mutex, const Tensor& target) {
  check_device(op, mutex, "target", target, "mutex");
  check_dtype(op, "target", target.scalar_type(), TypesOf<Load>{});
}

struct GuardedAddShape {
  static constexpr const char* kName = "guarded_add_";
  static std::string name() { return kName; }
  static void call(const Tensor& mutex, const Tensor& target, const Tensor& other, double alpha,
                   int64_t) {
    check_target(kName, mutex, target);
    check_dtype(kName, "target", target.scalar_type(), TypesOf<Add>{});
    check_alpha(kName, target.scalar_type(), alpha);
    check_operand(kName, target, "other", other);
  }
};

struct GuardedLoadShape {
  static constexpr const char* kName = "guarded_load";
  static std::string name() { return kName; }
  static Tensor call(const Tensor& mutex, const Tensor& target, bool, int64_t) {
    check_target(kName, mutex, target);
    return contiguous_like(target);
  }
};

struct GuardedStoreShape {
  static constexpr const char* kName = "guarded_store_";
  static std::string name() { return kName; }
  static void call(const Tensor& mutex, const Tensor& target, const Tensor& other, int64_t) {
    check_target(kName, mutex, target);
    check_operand(kName, target, "other", other);
  }
};

struct GuardedExchangeShape {
  static constexpr const char* kName = "guarded_exchange";
  static std::string name() { return kName; }
  static Tensor call(const Tensor& mutex, const Tensor& target, const Tensor& other, int64_t) {
    check_target(kName, mutex, target);
    check_operand(kName, target, "other", other);
    return contiguous_like(target);
  }
};

struct GuardedRebaseShape {
  static constexpr const char* kName = "guarded_rebase_";
  static std::string name() { return kName; }
  static void call(const Tensor& mutex, const Tensor& target, const Tensor& seen,
                   const Tensor& fresh, int64_t) {
    check_target(kName, mutex, target);
    check_dtype(kName, "target", target.scalar_type(), TypesOf<Add>{});
    check_operand(kName, target, "seen", seen);
    check_operand(kName, target, "fresh", fresh);
  }
};

struct GuardedIndexAddShape {
  static constexpr const char* kName = "guarded_index_add_";
  static std::string name() { return kName; }
  static void call(const Tensor& mutex, const Tensor& target, int64_t, const Tensor& index,
                   const Tensor& source, double alpha, int64_t) {
    check_target(kName, mutex, target);
    check_dtype(kName, "target", target.scalar_type(), TypesOf<Add>{});
    check_alpha(kName, target.scalar_type(), alpha);
    check_index(kName, target, index);
    check_operand(kName, target, "source", source);
  }
};

using Tensors = std::vector<Tensor>;

void check_devices(const char* op, const Tensor& mutex, const char* name, const Tensors& list) {
  for (const Tensor& each : list) check_device(op, mutex, name, each, "mutex");
}

struct GuardedCopyShape {
  static constexpr const char* kName = "guarded_copy_";
  static std::string name() { return kName; }
  static void call(const Tensors& mutex, const Tensors& target, const std::vector<int64_t>& first,
                   const Tensors& out, const Tensors& source) {
    check_length(kName, "target", target.size(), "first", first.size());
    check_length(kName, "out", out.size(), "source", source.size());
    if (mutex.size() != 1) check_length(kName, "target", target.size(), "mutex", mutex.size());
    if (mutex.empty()) return;
    check_devices(kName, mutex[0], "mutex", mutex);
    check_devices(kName, mutex[0], "target", target);
    check_devices(kName, mutex[0], "out", out);
    check_devices(kName, mutex[0], "source", source);
  }
};

void check_step(const char* op, const Tensor& mutex, const Tensors& params, const Tensors& grads,
                const Tensor& steps, const std::vector<int64_t>& first) {
  for (const Tensor& each : params) check_dtype(op, "params", each.scalar_type(), FusedTypes{});
  check_length(op, "params", params.size(), "grads", grads.size());
  check_length(op, "params", params.size(), "first", first.size());
  check_devices(op, mutex, "params", params);
  check_devices(op, mutex, "grads", grads);
  check_device(op, mutex, "steps", steps, "mutex");
}

struct GuardedSgdShape {
  static constexpr const char* kName = "guarded_sgd_";
  static std::string name() { return kName; }
  static void call(const Tensor& mutex, const Tensors& params, const Tensors& grads,
                   const Tensors& momentum_buffers, const Tensor& steps,
                   const std::vector<int64_t>& first, double, double, double, double, bool, bool) {
    check_step(kName, mutex, params, grads, steps, first);
    check_devices(kName, mutex, "momentum_buffers", momentum_buffers);
  }
};

struct GuardedAdagradShape {
  static constexpr const char* kName = "guarded_adagrad_";
  static std::string name() { return kName; }
  static void call(const Tensor& mutex, const Tensors& params, const Tensors& grads,
                   const Tensors& state_sums, const Tensor& steps,
                   const std::vector<int64_t>& first, double, double, double, double, bool) {
    check_step(kName, mutex, params, grads, steps, first);
    check_devices(kName, mutex, "state_sums", state_sums);
  }
};

struct GuardedIndexAdagradShape {
  static constexpr const char* kName = "guarded_index_adagrad_";
  static std::string name() { return kName; }
  static void call(const Tensor& mutex, const Tensor& target, int64_t, const Tensor& index,
                   const Tensor& source, const Tensor& state_sum, const Tensor& steps, int64_t,
                   double, double, double, bool) {
    check_target(kName, mutex, target);
    check_dtype(kName, "target", target.scalar_type(), FusedTypes{});
    check_index(kName, target, index);
    check_operand(kName, target, "source", source);
    check_device(kName, mutex, "state_sum", state_sum, "mutex");
    check_device(kName, mutex, "steps", steps, "mutex");
  }
};

struct GuardedAdamShape {
  static constexpr const char* kName = "guarded_adam_";
  static std::string name() { return kName; }
  static void call(const Tensor& mutex, const Tensors& params, const Tensors& grads,
                   const Tensors& exp_avgs, const Tensors& exp_avg_sqs,
                   const Tensors& max_exp_avg_sqs, const Tensor& steps,
                   const std::vector<int64_t>& first, double, double, double, double, double, bool,
                   bool, bool) {
    check_step(kName, mutex, params, grads, steps, first);
    check_devices(kName, mutex, "exp_avgs", exp_avgs);
    check_devices(kName, mutex, "exp_avg_sqs", exp_avg_sqs);
    check_devices(kName, mutex, "max_exp_avg_sqs", max_exp_avg_sqs);
  }
};

using Shapes = TypeList<GuardedAddShape, GuardedLoadShape, GuardedStoreShape, GuardedExchangeShape,
                        GuardedRebaseShape, GuardedIndexAddShape, GuardedCopyShape, GuardedSgdShape,
                        GuardedAdagradShape, GuardedIndexAdagradShape, GuardedAdamShape>;

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, Meta, m) { implement(m, Shapes{}); }

}  // namespace atomics::meta
