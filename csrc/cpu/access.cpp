// Reading and replacing every element of a target.
#include "../dense.h"
#include "by_handle.h"
#include "cells.h"

namespace atomics::cpu {

namespace {

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

struct Machine : OnCpu {
  template <class C>
  static void load(const Tensor&, const std::array<Operand, 2>& operands, int64_t numel) {
    copy_cells<C>(operands, numel, [](auto cell, char* at) {
      const auto value = Load::apply(cell);
      std::memcpy(at, &value, sizeof(value));  // not aligned to eight bytes
    });
  }

  template <class C>
  static void store(const Tensor&, const std::array<Operand, 2>& operands, int64_t numel) {
    copy_cells<C>(operands, numel, []<class Cell>(const Cell& cell, const char* at) {
      typename Cell::value_type value;
      std::memcpy(&value, at, sizeof(value));
      Store::apply(cell, value);
    });
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
    return LockFree<LoadKernel<Machine>>::call(use->target);
  }
};

using All = Joined<AllLockFree<AccessKernels<Machine>>,
                   TypeList<HandleLoad, ByHandle<StoreKernel<Machine>>>>;

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CPU, m) { implement(m, All{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Negative, m) { refuse<NegativeView>(m, All{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Conjugate, m) { refuse<ConjugateView>(m, All{}); }

}  // namespace atomics::cpu
