// Visits the cells of a target together with the matching elements of its operands.
#pragma once

#include "../check.h"
#include "../operand.h"
#include "../visit.h"
#include "launch.cuh"
#include "ref.cuh"
#include "walk.h"

namespace atomics::cuda {

template <class C, size_t N, class Visit>
__global__ void visit_cells(thread_scope scope, const Walk<N> walk, int64_t numel, Visit visit) {
  char* at[N];
  const auto visit_cell = [&](const auto& cell) { visit(cell, at); };
  if (numel == 1) {
    if (first_of_thread() != 0) return;
    walk.find(0, at);
    return in_scope<Single>(scope, &as<C>(at[0]), visit_cell);
  }
  for (int64_t i = first_of_thread(); i < numel; i += threads_of_grid()) {
    walk.find(i, at);
    in_scope<Bulk>(scope, &as<C>(at[0]), visit_cell);
  }
}

// Whether a visit is a load or a store of the hardware. Of 8 bits, which are stored with their
// neighbours, it is not.
template <class C, class Visit>
constexpr bool kIsPlain =
    std::is_same_v<Visit, VisitLoad> || (std::is_same_v<Visit, VisitStore> && sizeof(C) > 1);

// What a Machine is, see dense.h, but for the loops.
struct OnGpu {
  static Device device(const Tensor& target) { return target.device(); }

  static void check_operands(const char* op, const View& target,
                             std::initializer_list<View> others) {
    for (const View& other : others) check_device(op, target.tensor, other.name, other.tensor);
    check_elementwise(op, target, others);
  }

  template <class C, size_t N, class Visit>
  static void visit(const char* op, const Tensor& on, const std::array<Operand, N>& operands,
                    int64_t numel, Visit visit) {
    if (numel == 0) return;
    const Launch launch(op, on, kIsPlain<C, Visit> ? nullptr : operands[0].data);
    launch(visit_cells<C, N, Visit>, numel, Walk<N>(operands), numel, visit);
  }
};

}  // namespace atomics::cuda
