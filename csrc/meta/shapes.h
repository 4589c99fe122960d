// What the Meta kernels share. Sizes may be symbols there, so nothing may ask for them; devices,
// dtypes and numbers are checked, so that a trace does not pass what a run refuses.
#pragma once

#include <torch/csrc/stable/ops.h>

#include <array>

#include "../check.h"
#include "../dispatch.h"
#include "../register.h"

namespace atomics::meta {

namespace shim = torch::stable::detail;

// aten::empty_like, contiguous as the results of all our ops are, without looking at the sizes.
inline Tensor contiguous_like(const Tensor& tensor, ScalarType dtype) {
  std::array<StableIValue, 6> stack{shim::from(tensor.share().release()),
                                    shim::from(std::optional<ScalarType>(dtype)),
                                    shim::from(std::nullopt),
                                    shim::from(std::nullopt),
                                    shim::from(std::nullopt),
                                    shim::from(std::optional<torch::headeronly::MemoryFormat>(
                                        torch::headeronly::MemoryFormat::Contiguous))};
  TORCH_ERROR_CODE_CHECK(
      torch_call_dispatcher("aten::empty_like", "", stack.data(), TORCH_ABI_VERSION));
  return Tensor(shim::to<AtenTensorHandle>(stack[0]));
}

inline Tensor contiguous_like(const Tensor& tensor) {
  return contiguous_like(tensor, tensor.scalar_type());
}

inline void check_operand(const char* op, const Tensor& target, const char* name,
                          const Tensor& other) {
  check_device(op, target, name, other);
  check_same_dtype(op, target.scalar_type(), name, other.scalar_type());
}

inline void check_index(const char* op, const Tensor& target, const Tensor& index) {
  check_device(op, target, "index", index);
  check_dtype(op, "index", index.scalar_type(), Indices{});
}

}  // namespace atomics::meta
