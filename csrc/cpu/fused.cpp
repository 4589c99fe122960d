#include "fused.h"

namespace atomics::cpu {

void check_params(const char* op, const std::vector<Tensor>& params) {
  for (const Tensor& each : params) check_dtype(op, "params", each.scalar_type(), FusedTypes{});
}

void check_without(const char* op, const char* option, const char* name,
                   const std::vector<Tensor>& list) {
  if (!list.empty()) {
    fail(op, name, std::string("be empty without ") + option,
         std::to_string(list.size()) + " elements");
  }
}

void check_state(const char* op, const Tensor& mutex, const View& param, const View& state) {
  const auto dtype = param.dtype == ScalarType::BFloat16 ? ScalarType::Float : param.dtype;
  if (state.dtype != dtype) {
    fail(op, state.name,
         "have dtype " + dtype_name(dtype) + " for " + dtype_name(param.dtype) + " params",
         dtype_name(state.dtype));
  }
  check_same_shape(op, param, state);
  check_memory(op, state);
  check_written(op, state);
  check_no_overlap(op, param, state);
  check_no_overlap(op, {"mutex", mutex}, state);
}

void check_fused(const char* op, const Tensor& mutex, const View& param, const View& grad) {
  check_same_dtype(op, param.dtype, grad.name, grad.dtype, param.name);
  check_same_shape(op, param, grad);
  check_memory(op, param);
  check_memory(op, grad);
  check_written(op, param);
  check_no_overlap(op, param, grad);
  check_no_overlap(op, {"mutex", mutex}, param);
}

void check_steps(const char* op, const Tensor& mutex, const View& steps, size_t count) {
  check_dtype(op, steps, TypeList<int64_t>{});
  if (steps.numel != static_cast<int64_t>(count) || !steps.tensor.is_contiguous()) {
    fail(op, "steps", "be contiguous with one element for each of params, " + std::to_string(count),
         "shape " + shape_name(steps.dim, steps.sizes));
  }
  check_memory(op, steps);
  check_written(op, steps);
  check_no_overlap(op, {"mutex", mutex}, steps);
}

int64_t next_step(const View& steps, size_t k) {
  auto* const numbers = static_cast<int64_t*>(steps.tensor.mutable_data_ptr());
  return Ref<int64_t, Single>(numbers + k).fetch_add(1) + 1;
}

}  // namespace atomics::cpu
