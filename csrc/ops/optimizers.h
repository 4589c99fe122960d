// What a step of an optimizer does to one element of a parameter, with the formulas of torch.optim
// and the names of its documentation. No torch header here. `M` is what is calculated with; a
// struct's numbers are the same for all elements of a call.
#pragma once

#include <bit>
#include <cstddef>

#include "cell.h"
#include "macros.h"

namespace atomics {

// What weight decay (as an L2 penalty) and `maximize` make of a gradient.
template <class M>
struct Gradient {
  M sign;  // -1 to maximize
  M weight_decay;

  // A weight decay of 0 has no effect, also on a parameter that is infinite.
  ATOMICS_HD [[gnu::always_inline]] M operator()(M param, M grad) const {
    const M signed_grad = sign * grad;
    return weight_decay == 0 ? signed_grad : signed_grad + weight_decay * param;
  }
};

template <class M>
struct PlainSgd {
  static constexpr size_t kStates = 0;
  Gradient<M> gradient;
  M lr;

  ATOMICS_HD [[gnu::always_inline]] void operator()(M& param, M grad) const {
    param -= lr * gradient(param, grad);
  }
};

// A momentum buffer that was never used is all -0.0: its first gradient enters undamped. One that
// was used holds no -0.0, which the added 0 sees to.
template <class M>
struct MomentumSgd {
  static constexpr size_t kStates = 1;
  Gradient<M> gradient;
  M lr;
  M momentum;
  M undamped;  // 1 - dampening
  bool nesterov;

  ATOMICS_HD [[gnu::always_inline]] void operator()(M& param, M grad, M& buffer) const {
    const M step = gradient(param, grad);
    const bool is_first = std::bit_cast<Bits<M>>(buffer) == std::bit_cast<Bits<M>>(-M{0});
    buffer = momentum * buffer + (is_first ? step : undamped * step) + M{0};
    param -= lr * (nesterov ? step + momentum * buffer : buffer);
  }
};

template <class M>
struct Adagrad {
  static constexpr size_t kStates = 1;
  Gradient<M> gradient;
  M clr;  // lr / (1 + (step - 1) * lr_decay)
  M eps;

  ATOMICS_HD [[gnu::always_inline]] void operator()(M& param, M grad, M& state_sum) const {
    const M step = gradient(param, grad);
    state_sum += step * step;
    param -= clr * step / (sqrt(state_sum) + eps);
  }

  ATOMICS_HD [[gnu::always_inline]] static M sqrt(M value) {
    if constexpr (sizeof(M) == sizeof(float)) return __builtin_sqrtf(value);
    return __builtin_sqrt(value);
  }
};

template <class M, bool amsgrad>
struct Adam {
  static constexpr size_t kStates = amsgrad ? 3 : 2;
  Gradient<M> gradient;
  M decay;    // of the parameter itself, as AdamW has it: 1 - lr * weight_decay, or 1
  M weight1;  // 1 - beta1
  M beta2;
  M weight2;      // 1 - beta2
  M step_size;    // lr / (1 - beta1 ** step)
  M correction2;  // 1 / sqrt(1 - beta2 ** step)
  M eps;

  template <class... Max>
  ATOMICS_HD [[gnu::always_inline]] void operator()(M& param, M grad, M& exp_avg, M& exp_avg_sq,
                                                    Max&... max_exp_avg_sq) const {
    const M step = gradient(param, grad);
    exp_avg += weight1 * (step - exp_avg);
    exp_avg_sq = exp_avg_sq * beta2 + weight2 * step * step;
    M square = exp_avg_sq;
    // A NaN stays, as with torch.maximum.
    ((square = max_exp_avg_sq = square <= max_exp_avg_sq ? max_exp_avg_sq : square), ...);
    param = param * decay - step_size * exp_avg / (Adagrad<M>::sqrt(square) * correction2 + eps);
  }
};

}  // namespace atomics
