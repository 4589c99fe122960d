// add_ and its family: changes every element of a target and returns nothing. The meaning of an op
// is in csrc/ops.
#include "update.h"
#include "../check.h"
#include "../dispatch.h"
#include "../register.h"
#include "by_handle.h"
#include "cells.h"

namespace atomics::cpu {

namespace {

template <class Op>
struct UpdateKernel {
  static std::string name() { return Op::kUpdate; }

  static void call(const Tensor& target, const Tensor& other) {
    const View cells("target", target);
    const View values("other", other);
    check_dtype(Op::kUpdate, cells, TypesOf<Op>{});
    check_elementwise(Op::kUpdate, cells, {values});
    dispatch(TypesOf<Op>{}, cells.dtype, [&]<class T>() {
      using C = typename Op::template Cell<T>;
      update_cells<Op, C>(std::array{writable(cells), readable(values)}, cells.numel, Unscaled{});
    });
  }
};

template <class Op>
struct ScaledUpdateKernel {
  static std::string name() { return Op::kUpdate; }

  static void call(const Tensor& target, const Tensor& other, double alpha,
                   std::optional<int64_t> seed) {
    const View cells("target", target);
    const View values("other", other);
    check_dtype(Op::kUpdate, cells, TypesOf<Op>{});
    check_alpha(Op::kUpdate, cells.dtype, alpha);
    check_seed(Op::kUpdate, cells.dtype, seed);
    check_elementwise(Op::kUpdate, cells, {values});
    dispatch(TypesOf<Op>{}, cells.dtype, [&]<class T>() {
      using C = typename Op::template Cell<T>;
      const std::array operands{writable(cells), readable(values)};
      if constexpr (!std::is_same_v<C, Widened<C>>) {
        if (seed) {
          const Stochastic round(*seed, operands[0].data);
          return update_cells<Op, C>(operands, cells.numel, scaled_by<C>(alpha), round);
        }
      }
      if (alpha == 1) {
        update_cells<Op, C>(operands, cells.numel, Unscaled{});
      } else {
        update_cells<Op, C>(operands, cells.numel, scaled_by<C>(alpha));
      }
    });
  }
};

template <class... Scaled, class... Plain>
auto kernels(TypeList<Scaled...>, TypeList<Plain...>)
    -> TypeList<ScaledUpdateKernel<Scaled>..., UpdateKernel<Plain>...>;
using Kernels = decltype(kernels(ScaledUpdateOps{}, UpdateOps{}));
using All = Joined<AllLockFree<Kernels>, TypeList<ByHandle<ScaledUpdateKernel<Add>>>>;

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CPU, m) { implement(m, All{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Negative, m) { refuse<NegativeView>(m, All{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Conjugate, m) { refuse<ConjugateView>(m, All{}); }

}  // namespace atomics::cpu
