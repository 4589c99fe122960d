// Reading and replacing every element of a target. The meaning of an op is in csrc/ops.
#include "../check.h"
#include "../dispatch.h"
#include "../register.h"
#include "../visit.h"
#include "by_handle.h"
#include "cells.h"
#include "parallel.h"

namespace atomics::cpu {

namespace {

using Types = TypesOf<Load>;

// Calls visit(cell, at) for the cells of operands[0], eight bytes of neighbours as one cell where
// all operands have their neighbours side by side: the widest that every machine loads or stores at
// once. operands[0] holds the cells, the others are read or written beside them.
template <class C, class Visit>
void copy_cells(const std::array<Operand, 2>& operands, int64_t numel, Visit&& visit) {
  using Eight = uint64_t;
  constexpr int64_t kSize = sizeof(C);
  constexpr int64_t kEight = sizeof(Eight);
  for_each_part(operands, numel, [&](const auto& part) {
    for_each_run(part, [&](auto at, auto step, int64_t n) {
      const auto one_by_one = [&](int64_t count, auto cell, int64_t cells) {
        using T = decltype(cell);
        for (; count > 0; --count) {
          visit(Ref<T, Bulk>(&as<T>(at[0])), at[1]);
          for (size_t k = 0; k < 2; ++k) at[k] += cells * step[k];
        }
      };
      if (numel == 1) return visit(Ref<C, Single>(&as<C>(at[0])), at[1]);
      if (kSize < kEight && step[0] == kSize && step[1] == kSize) {
        const auto past = static_cast<int64_t>(reinterpret_cast<uintptr_t>(at[0]) % kEight);
        const int64_t edge = std::min(n, (kEight - past) % kEight / kSize);
        const int64_t words = (n - edge) * kSize / kEight;
        one_by_one(edge, C{}, 1);
        one_by_one(words, Eight{}, kEight / kSize);
        n -= edge + words * (kEight / kSize);
      }
      one_by_one(n, C{}, 1);
    });
  });
}

struct LoadKernel {
  static std::string name() { return Load::kName; }

  static Tensor call(const Tensor& target) {
    const View cells("target", target);
    check_dtype(Load::kName, cells, Types{});
    check_memory(Load::kName, cells);
    Tensor result = empty_like(cells);
    dispatch(Types{}, cells.dtype, [&]<class T>() {
      copy_cells<Bits<T>>({readable(cells), fresh(result, cells)}, cells.numel,
                          [](auto cell, char* at) {
                            const auto value = Load::apply(cell);
                            std::memcpy(at, &value, sizeof(value));  // not aligned to eight bytes
                          });
    });
    return result;
  }
};

struct StoreKernel {
  static std::string name() { return Store::kName; }

  static void call(const Tensor& target, const Tensor& other) {
    const View cells("target", target);
    const View values("other", other);
    check_dtype(Store::kName, cells, Types{});
    check_elementwise(Store::kName, cells, {values});
    dispatch(Types{}, cells.dtype, [&]<class T>() {
      copy_cells<Bits<T>>({writable(cells), readable(values)}, cells.numel,
                          []<class Cell>(const Cell& cell, const char* at) {
                            typename Cell::value_type value;
                            std::memcpy(&value, at, sizeof(value));
                            Store::apply(cell, value);
                          });
    });
  }
};

struct CompareExchangeKernel {
  static std::string name() { return CompareExchange::kName; }

  static std::tuple<Tensor, Tensor> call(const Tensor& target, const Tensor& expected,
                                         const Tensor& desired) {
    const View cells("target", target);
    const View guesses("expected", expected);
    const View values("desired", desired);
    check_dtype(CompareExchange::kName, cells, Types{});
    check_elementwise(CompareExchange::kName, cells, {guesses, values});
    Tensor old = empty_like(cells);
    Tensor success = empty(cells.dim, cells.sizes, ScalarType::Bool, DeviceType::CPU);
    dispatch(Types{}, cells.dtype, [&]<class T>() {
      using C = Bits<T>;
      for_each_cell<C, 5>({writable(cells), readable(guesses), readable(values), fresh(old, cells),
                           fresh(success, cells, sizeof(bool))},
                          cells.numel, VisitCompareExchange{});
    });
    return {std::move(old), std::move(success)};
  }
};

// The call says what it expects, for a trace that cannot look.
struct HandleLoad {
  static constexpr const char* kName = "handle_load";
  static std::string name() { return kName; }

  static Tensor call(const Tensor& handle, const std::vector<int64_t>& size, ScalarType dtype) {
    const HandleUse use(kName, handle);
    check_is_guarded(kName, *use, false);
    const View cells("target", use->target);
    if (dtype != cells.dtype) {
      fail(kName, "dtype", "be target's, " + dtype_name(cells.dtype), dtype_name(dtype));
    }
    if (!std::equal(size.begin(), size.end(), cells.sizes, cells.sizes + cells.dim)) {
      fail(kName, "size", "be target's shape, " + shape_name(cells.dim, cells.sizes),
           shape_name(static_cast<int64_t>(size.size()), size.data()));
    }
    return LockFree<LoadKernel>::call(use->target);
  }
};

using Kernels = TypeList<LoadKernel, StoreKernel, CompareExchangeKernel>;
using All = Joined<AllLockFree<Kernels>, TypeList<HandleLoad, ByHandle<StoreKernel>>>;

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CPU, m) { implement(m, All{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Negative, m) { refuse<NegativeView>(m, All{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Conjugate, m) { refuse<ConjugateView>(m, All{}); }

}  // namespace atomics::cpu
