// fetch_*: changes every element of a target and returns what was there.
#include "../dense.h"
#include "cells.cuh"
#include "runs.cuh"

namespace atomics::cuda {

namespace {

struct Machine : OnGpu {
  template <class Op, class C>
  static void fetch(const Tensor& on, const std::array<Operand, 3>& operands, int64_t numel) {
    constexpr VisitFetch<Op> kVisit;
    if (combine_run<Op, C>(Op::kFetch, on, operands, numel, Unscaled{}, Nearest{}, kVisit)) return;
    visit<C>(Op::kFetch, on, operands, numel, kVisit);
  }
};

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CUDA, m) { implement(m, FetchKernels<Machine>{}); }

}  // namespace atomics::cuda
