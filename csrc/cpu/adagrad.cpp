// guarded_adagrad_ and guarded_index_adagrad_: a step of torch.optim.Adagrad, with a dense gradient
// or on the rows of a sparse one. The formulas are in csrc/ops/optimizers.h.
#include "../register.h"
#include "fused.h"
#include "rows.h"
#include "stripe_order.h"

namespace atomics::cpu {

namespace {

template <class M>
Adagrad<M> step_of(int64_t number, double lr, double lr_decay, double weight_decay, double eps,
                   bool maximize) {
  const double clr = lr / (1 + static_cast<double>(number - 1) * lr_decay);
  return {{static_cast<M>(maximize ? -1 : 1), static_cast<M>(weight_decay)},
          static_cast<M>(clr),
          static_cast<M>(eps)};
}

struct GuardedAdagrad {
  static constexpr const char* kName = "guarded_adagrad_";
  static std::string name() { return kName; }

  static void call(const Tensor& mutex, const std::vector<Tensor>& params,
                   const std::vector<Tensor>& grads, const std::vector<Tensor>& state_sums,
                   const Tensor& steps, const std::vector<int64_t>& first, double lr,
                   double lr_decay, double weight_decay, double eps, bool maximize) {
    check_params(kName, params);
    step_all<1>(kName, mutex, params, grads, {{{"state_sums", &state_sums}}}, steps, first,
                [&]<class M>(int64_t number) {
                  return step_of<M>(number, lr, lr_decay, weight_decay, eps, maximize);
                });
  }
};

struct GuardedIndexAdagrad {
  static constexpr const char* kName = "guarded_index_adagrad_";
  static std::string name() { return kName; }

  static void call(const Tensor& mutex, const Tensor& target, int64_t dim, const Tensor& index,
                   const Tensor& source, const Tensor& state_sum, const Tensor& steps,
                   int64_t first, double lr, double lr_decay, double eps, bool maximize) {
    const View params("target", target);
    const View rows("index", index);
    const View grads("source", source);
    const View sums("state_sum", state_sum);
    const View counts("steps", steps);
    check_dtype(kName, params, FusedTypes{});
    check_first(kName, first);
    check_indexed(kName, params, dim, rows, {grads});
    check_no_overlap(kName, {"mutex", mutex}, params);
    const bool row_wise = sums.dim == 1 && params.dim > 1;
    if (row_wise) {
      check_row_sums(mutex, params, sums);
    } else {
      check_state(kName, mutex, params, sums);
    }
    check_no_overlap(kName, sums, rows);
    check_no_overlap(kName, sums, grads);
    check_steps(kName, mutex, counts, 1);
    auto stripes = stripes_of(kName, mutex);
    std::optional<StripeOrder> order;
    if (rows.numel > 0) order.emplace(kName, stripes, params, first, rows);
    verify_all(stripes, {params, first}, params);
    const int64_t number = next_step(counts, 0);
    if (grads.numel == 0) return;

    const int64_t width = grads.numel / rows.numel;
    const Rows to(writable(params));
    const Rows from(readable(grads));
    const Rows states(writable(sums));
    dispatch(FusedTypes{}, params.dtype, [&]<class T>() {
      const auto step = step_of<Moment<T>>(number, lr, lr_decay, 0, eps, maximize);
      const auto soon = [&](int64_t row) __attribute__((always_inline)) {
        __builtin_prefetch(to[row].data, 1);
        __builtin_prefetch(states[row].data, 1);
      };
      order->for_each(stripes, width, soon, [&](uint32_t place, int64_t row, int64_t i) {
        stripes.begin_step(i);
        if (row_wise) {
          step_row<T>(to[row], from[place], as<Moment<T>>(states[row].data), width, step);
        } else {
          step_elements<T>(to[row], from[place], states[row], width, step);
        }
        stripes.end_step(i);
      });
    });
  }

 private:
  static void check_row_sums(const Tensor& mutex, const View& params, const View& sums) {
    const auto dtype = params.dtype == ScalarType::BFloat16 ? ScalarType::Float : params.dtype;
    check_same_dtype(kName, dtype, "state_sum", sums.dtype);
    if (sums.sizes[0] != params.sizes[0]) {
      fail(kName, "state_sum",
           "have target's shape, or one element for each of its " +
               std::to_string(params.sizes[0]) + " rows",
           "shape " + shape_name(sums.dim, sums.sizes));
    }
    check_memory(kName, sums);
    check_written(kName, sums);
    check_no_overlap(kName, params, sums);
    check_no_overlap(kName, {"mutex", mutex}, sums);
  }

  template <class T, class Step>
  static void step_elements(Row param, Row grad, Row sum, int64_t width, const Step& step) {
    if (param.step() && grad.step() && sum.step()) {
      return step_run<T>({param.data, grad.data, sum.data},
                         {*param.step(), *grad.step(), *sum.step()}, width, step);
    }
    for_each_run(std::array{param.operand(), grad.operand(), sum.operand()},
                 [&](auto at, auto bytes, int64_t n) { step_run<T>(at, bytes, n, step); });
  }

  // One sum for a row, of the mean of its squares (Facebook's row-wise Adagrad).
  template <class T, class Step>
  static void step_row(Row param, Row grad, Moment<T>& sum, int64_t width, const Step& step) {
    using M = Moment<T>;
    M squares = 0;
    for_each_pair<T, T>(grad, grad, width,
                        [&](T value, T&) { squares += widened(value) * widened(value); });
    sum += squares / static_cast<M>(width);
    const M rate = step.gradient.sign * step.clr / (Step::sqrt(sum) + step.eps);
    for_each_pair<T, T>(grad, param, width, [rate](T value, T& to) {
      to = narrowed<T>(widened(to) - rate * widened(value));
    });
  }
};

using Kernels = TypeList<GuardedAdagrad, GuardedIndexAdagrad>;

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CPU, m) { implement(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Negative, m) { refuse<NegativeView>(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Conjugate, m) { refuse<ConjugateView>(m, Kernels{}); }

}  // namespace atomics::cpu
