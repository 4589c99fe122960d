// Reading and replacing a target under the locks of its stripes.
#include "../check.h"
#include "../dispatch.h"
#include "../register.h"
#include "cells.h"
#include "guarded.h"
#include "plain.h"

namespace atomics::cpu {

namespace {

using Types = TypesOf<Load>;

// The bank, after all checks for what writes `values` to `cells`.
mutex::Stripes checked(const char* op, const Tensor& mutex, const View& cells, const View& values,
                       int64_t first) {
  check_dtype(op, cells, Types{});
  check_first(op, first);
  check_elementwise(op, cells, {values});
  check_no_overlap(op, {"mutex", mutex}, cells);
  return stripes_of(op, mutex);
}

struct GuardedLoad {
  static constexpr const char* kName = "guarded_load";
  static std::string name() { return kName; }

  static Tensor call(const Tensor& mutex, const Tensor& target, bool consistent, int64_t first) {
    const View cells("target", target);
    check_dtype(kName, cells, Types{});
    check_first(kName, first);
    check_memory(kName, cells);
    check_no_overlap(kName, {"mutex", mutex}, cells);
    auto stripes = stripes_of(kName, mutex);
    Tensor result = empty_like(cells);
    const std::array operands{readable(cells), fresh(result, cells)};
    dispatch(Types{}, cells.dtype, [&]<class T>() {
      using C = Bits<T>;
      const auto copy = [](auto at, auto step, int64_t n, int64_t) {
        for_each_plain<C, C>({at[1], at[0]}, {step[1], step[0]}, n,
                             [](C& to, C from) __attribute__((always_inline)) { to = from; });
      };
      if (consistent) {
        mutex::HoldAll hold(kName);
        cover(hold, stripes, {cells, first}, cells);
        hold.lock();
        for_each_part(operands, cells.numel, [&](const auto& part) {
          for_each_run(part, [&](auto at, auto step, int64_t n) { copy(at, step, n, 0); });
        });
      } else {
        for_each_stripe(stripes, {cells, first}, operands, cells.numel, copy);
      }
    });
    return result;
  }
};

struct GuardedStore {
  static constexpr const char* kName = "guarded_store_";
  static std::string name() { return kName; }

  static void call(const Tensor& mutex, const Tensor& target, const Tensor& other, int64_t first) {
    const View cells("target", target);
    const View values("other", other);
    auto stripes = checked(kName, mutex, cells, values, first);
    dispatch(Types{}, cells.dtype, [&]<class T>() {
      using C = Bits<T>;
      for_each_stripe(stripes, {cells, first}, std::array{writable(cells), readable(values)},
                      cells.numel, [](auto at, auto step, int64_t n, int64_t) {
                        for_each_plain<C, C>(at, step, n,
                                             [](C& to, C from)
                                                 __attribute__((always_inline)) { to = from; });
                      });
    });
  }
};

struct GuardedExchange {
  static constexpr const char* kName = "guarded_exchange";
  static std::string name() { return kName; }

  static Tensor call(const Tensor& mutex, const Tensor& target, const Tensor& other,
                     int64_t first) {
    const View cells("target", target);
    const View values("other", other);
    auto stripes = checked(kName, mutex, cells, values, first);
    Tensor old = empty_like(cells);
    dispatch(Types{}, cells.dtype, [&]<class T>() {
      using C = Bits<T>;
      for_each_stripe(
          stripes, {cells, first}, std::array{writable(cells), readable(values), fresh(old, cells)},
          cells.numel, [](auto at, auto step, int64_t n, int64_t) {
            const auto copy = [](C& to, C from) __attribute__((always_inline)) { to = from; };
            for_each_plain<C, C>({at[2], at[0]}, {step[2], step[0]}, n, copy);
            for_each_plain<C, C>({at[0], at[1]}, {step[0], step[1]}, n, copy);
          });
    });
    return old;
  }
};

using Kernels = TypeList<GuardedLoad, GuardedStore, GuardedExchange>;

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CPU, m) { implement(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Negative, m) { refuse<NegativeView>(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Conjugate, m) { refuse<ConjugateView>(m, Kernels{}); }

}  // namespace atomics::cpu
