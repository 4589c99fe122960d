// guarded_rebase_: puts a new value in the place of one that was seen, and keeps what has been
// added since, under the locks of the target's stripes.
#include <bit>

#include "../check.h"
#include "../dispatch.h"
#include "../register.h"
#include "cells.h"
#include "guarded.h"
#include "plain.h"

namespace atomics::cpu {

namespace {

struct GuardedRebase {
  static constexpr const char* kName = "guarded_rebase_";
  static std::string name() { return kName; }

  static void call(const Tensor& mutex, const Tensor& target, const Tensor& seen,
                   const Tensor& fresh, int64_t first) {
    const View cells("target", target);
    const View before("seen", seen);
    const View after("fresh", fresh);
    check_dtype(kName, cells, TypesOf<Add>{});
    check_first(kName, first);
    check_elementwise(kName, cells, {before, after});
    check_no_overlap(kName, {"mutex", mutex}, cells);
    auto stripes = stripes_of(kName, mutex);
    dispatch(TypesOf<Add>{}, cells.dtype, [&]<class T>() {
      using C = typename Add::Cell<T>;
      for_each_stripe(
          stripes, {cells, first}, std::array{writable(cells), readable(before), readable(after)},
          cells.numel, [](auto at, auto step, int64_t n, int64_t) {
            for_each_of<C, C, C>(at, step, n,
                                 [](C& cell, C seen, C fresh) __attribute__((always_inline)) {
                                   cell = rebased(cell, seen, fresh);
                                 });
          });
    });
  }

 private:
  // By bits: a NaN is what it was, and nobody's sum is rounded twice.
  template <class C>
  [[gnu::always_inline]] static C rebased(C cell, C seen, C fresh) {
    using Word = Bits<C>;
    const auto moved =
        narrowed<C>(Add::combine(widened(cell), Sub::combine(widened(fresh), widened(seen))));
    return std::bit_cast<Word>(cell) == std::bit_cast<Word>(seen) ? fresh : moved;
  }
};

using Kernels = TypeList<GuardedRebase>;

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CPU, m) { implement(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Negative, m) { refuse<NegativeView>(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Conjugate, m) { refuse<ConjugateView>(m, Kernels{}); }

}  // namespace atomics::cpu
