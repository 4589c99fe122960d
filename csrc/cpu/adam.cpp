// guarded_adam_: a step of torch.optim.Adam or AdamW. The formulas are in csrc/ops/optimizers.h.
#include "../register.h"
#include "fused.h"

namespace atomics::cpu {

namespace {

struct GuardedAdam {
  static constexpr const char* kName = "guarded_adam_";
  static std::string name() { return kName; }

  static void call(const Tensor& mutex, const std::vector<Tensor>& params,
                   const std::vector<Tensor>& grads, const std::vector<Tensor>& exp_avgs,
                   const std::vector<Tensor>& exp_avg_sqs,
                   const std::vector<Tensor>& max_exp_avg_sqs, const Tensor& steps,
                   const std::vector<int64_t>& first, double lr, double beta1, double beta2,
                   double eps, double weight_decay, bool decoupled_weight_decay, bool amsgrad,
                   bool maximize) {
    check_params(kName, params);
    const auto make = [&]<class M, bool kAmsgrad>(int64_t step) {
      const double penalty = decoupled_weight_decay ? 0 : weight_decay;
      const double decay = decoupled_weight_decay ? 1 - lr * weight_decay : 1;
      const double correction1 = 1 - std::pow(beta1, static_cast<double>(step));
      const double correction2 = 1 - std::pow(beta2, static_cast<double>(step));
      return Adam<M, kAmsgrad>{
          {static_cast<M>(maximize ? -1 : 1), static_cast<M>(penalty)},
          static_cast<M>(decay),
          static_cast<M>(1 - beta1),
          static_cast<M>(beta2),
          static_cast<M>(1 - beta2),
          static_cast<M>(lr / correction1),
          static_cast<M>(1 / std::sqrt(correction2)),
          static_cast<M>(eps),
      };
    };
    if (amsgrad) {
      step_all<3>(kName, mutex, params, grads,
                  {{{"exp_avgs", &exp_avgs},
                    {"exp_avg_sqs", &exp_avg_sqs},
                    {"max_exp_avg_sqs", &max_exp_avg_sqs}}},
                  steps, first,
                  [&]<class M>(int64_t step) { return make.template operator()<M, true>(step); });
    } else {
      check_without(kName, "amsgrad", "max_exp_avg_sqs", max_exp_avg_sqs);
      step_all<2>(kName, mutex, params, grads,
                  {{{"exp_avgs", &exp_avgs}, {"exp_avg_sqs", &exp_avg_sqs}}}, steps, first,
                  [&]<class M>(int64_t step) { return make.template operator()<M, false>(step); });
    }
  }
};

using Kernels = TypeList<GuardedAdam>;

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CPU, m) { implement(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Negative, m) { refuse<NegativeView>(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Conjugate, m) { refuse<ConjugateView>(m, Kernels{}); }

}  // namespace atomics::cpu
