// add_ and its family: changes every element of a target and returns nothing.
#include "update.h"
#include "../dense.h"
#include "by_handle.h"

namespace atomics::cpu {

namespace {

struct Machine : OnCpu {
  template <class Op, class C, class Scale, class Round>
  static void update(const Tensor&, const std::array<Operand, 2>& operands, int64_t numel,
                     Scale scale, Round round) {
    update_cells<Op, C>(operands, numel, scale, round);
  }
};

using All = Joined<AllLockFree<UpdateKernels<Machine>>,
                   TypeList<ByHandle<ScaledUpdateKernel<Machine, Add>>>>;

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CPU, m) { implement(m, All{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Negative, m) { refuse<NegativeView>(m, All{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Conjugate, m) { refuse<ConjugateView>(m, All{}); }

}  // namespace atomics::cpu
