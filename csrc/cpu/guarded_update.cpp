// guarded_add_: adds to a target under the locks of its stripes.
#include "../check.h"
#include "../dispatch.h"
#include "../register.h"
#include "by_handle.h"
#include "cells.h"
#include "guarded.h"
#include "plain.h"
#include "scale.h"

namespace atomics::cpu {

namespace {

template <class C, class Scale>
void add(mutex::Stripes& stripes, const Place& place, const std::array<Operand, 2>& operands,
         int64_t numel, Scale scale) {
  for_each_stripe(stripes, place, operands, numel, [&](auto at, auto step, int64_t n, int64_t) {
    for_each_plain<C, C>(at, step, n, [scale](C& cell, C other) __attribute__((always_inline)) {
      cell = narrowed<C>(Add::combine(widened(cell), scale(widened(other))));
    });
  });
}

struct GuardedAdd {
  static constexpr const char* kName = "guarded_add_";
  static std::string name() { return kName; }

  static void call(const Tensor& mutex, const Tensor& target, const Tensor& other, double alpha,
                   int64_t first) {
    const View cells("target", target);
    const View values("other", other);
    check_dtype(kName, cells, TypesOf<Add>{});
    check_alpha(kName, cells.dtype, alpha);
    check_first(kName, first);
    check_elementwise(kName, cells, {values});
    check_no_overlap(kName, {"mutex", mutex}, cells);
    auto stripes = stripes_of(kName, mutex);
    dispatch(TypesOf<Add>{}, cells.dtype, [&]<class T>() {
      using C = typename Add::Cell<T>;
      const std::array operands{writable(cells), readable(values)};
      if (alpha == 1) {
        add<C>(stripes, {cells, first}, operands, cells.numel, Unscaled{});
      } else {
        add<C>(stripes, {cells, first}, operands, cells.numel, scaled_by<C>(alpha));
      }
    });
  }
};

struct HandleGuardedAdd {
  static constexpr const char* kName = "handle_guarded_add_";
  static std::string name() { return kName; }

  static void call(const Tensor& handle, const Tensor& other, double alpha) {
    const HandleUse use(kName, handle);
    check_is_guarded(kName, *use, true);
    renamed<GuardedAdd>(
        [&] { GuardedAdd::call(use->mutex, use->target, other, alpha, use->first); });
  }
};

using Kernels = TypeList<GuardedAdd, HandleGuardedAdd>;

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CPU, m) { implement(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Negative, m) { refuse<NegativeView>(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Conjugate, m) { refuse<ConjugateView>(m, Kernels{}); }

}  // namespace atomics::cpu
