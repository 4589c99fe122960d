// guarded_sgd_: a step of torch.optim.SGD. The formulas are in csrc/ops/optimizers.h.
#include "../register.h"
#include "fused.h"

namespace atomics::cpu {

namespace {

struct GuardedSgd {
  static constexpr const char* kName = "guarded_sgd_";
  static std::string name() { return kName; }

  static void call(const Tensor& mutex, const std::vector<Tensor>& params,
                   const std::vector<Tensor>& grads, const std::vector<Tensor>& momentum_buffers,
                   const Tensor& steps, const std::vector<int64_t>& first, double lr,
                   double momentum, double dampening, double weight_decay, bool nesterov,
                   bool maximize) {
    check_params(kName, params);
    const double sign = maximize ? -1 : 1;
    const auto plain = [&]<class M>(int64_t) {
      return PlainSgd<M>{{static_cast<M>(sign), static_cast<M>(weight_decay)}, static_cast<M>(lr)};
    };
    const auto with_momentum = [&]<class M>(int64_t) {
      return MomentumSgd<M>{{static_cast<M>(sign), static_cast<M>(weight_decay)},
                            static_cast<M>(lr),
                            static_cast<M>(momentum),
                            static_cast<M>(1 - dampening),
                            nesterov};
    };
    if (momentum == 0) {
      check_without(kName, "momentum", "momentum_buffers", momentum_buffers);
      step_all<0>(kName, mutex, params, grads, {}, steps, first, plain);
    } else {
      step_all<1>(kName, mutex, params, grads, {{{"momentum_buffers", &momentum_buffers}}}, steps,
                  first, with_momentum);
    }
  }
};

using Kernels = TypeList<GuardedSgd>;

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CPU, m) { implement(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Negative, m) { refuse<NegativeView>(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Conjugate, m) { refuse<ConjugateView>(m, Kernels{}); }

}  // namespace atomics::cpu
