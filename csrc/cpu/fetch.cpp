// fetch_*: changes every element of a target and returns what was there.
#include "../dense.h"
#include "by_handle.h"
#include "update.h"

namespace atomics::cpu {

namespace {

struct Machine : OnCpu {
  template <class Op, class C>
  static void fetch(const Tensor&, const std::array<Operand, 3>& operands, int64_t numel) {
    update_cells<Op, C>(operands, numel, Unscaled{});
  }
};

using All =
    Joined<AllLockFree<FetchKernels<Machine>>, TypeList<ByHandle<FetchKernel<Machine, Add>>>>;

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CPU, m) { implement(m, All{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Negative, m) { refuse<NegativeView>(m, All{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Conjugate, m) { refuse<ConjugateView>(m, All{}); }

}  // namespace atomics::cpu
