// fetch_*: changes every element of a target and returns what was there.
#include "../dense.h"
#include "cells.cuh"

namespace atomics::cuda {

namespace {

struct Machine : OnGpu {
  template <class Op, class C>
  static void fetch(const Tensor& on, const std::array<Operand, 3>& operands, int64_t numel) {
    visit<C>(Op::kFetch, on, operands, numel, VisitFetch<Op>{});
  }
};

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CUDA, m) { implement(m, FetchKernels<Machine>{}); }

}  // namespace atomics::cuda
