// Reading and replacing every element of a target.
#include "../dense.h"
#include "cells.cuh"

namespace atomics::cuda {

namespace {

struct Machine : OnGpu {
  template <class C>
  static void load(const Tensor& on, const std::array<Operand, 2>& operands, int64_t numel) {
    visit<C>(Load::kName, on, operands, numel, VisitLoad{});
  }
  template <class C>
  static void store(const Tensor& on, const std::array<Operand, 2>& operands, int64_t numel) {
    visit<C>(Store::kName, on, operands, numel, VisitStore{});
  }
};

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CUDA, m) { implement(m, AccessKernels<Machine>{}); }

}  // namespace atomics::cuda
