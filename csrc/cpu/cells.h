// Visits the cells of a target together with the matching elements of its operands.
#pragma once

#include "../operand.h"
#include "parallel.h"
#include "ref.h"

namespace atomics::cpu {

// Calls visit(cell, at) for each cell of operands[0]; at[k] is where operand k's element is.
template <class T, size_t N, class Visit>
void for_each_cell(const std::array<Operand, N>& operands, int64_t numel, Visit&& visit) {
  const auto walk = [&](const std::array<Operand, N>& part, auto order) {
    for_each_run(part, [&](std::array<char*, N> at, auto step, int64_t n) {
      for (int64_t i = 0; i < n; ++i) {
        visit(Ref<T, decltype(order)>(&as<T>(at[0])), at);
        for (size_t k = 0; k < N; ++k) at[k] += step[k];
      }
    });
  };
  if (numel == 1) {
    walk(operands, Single{});
  } else {
    for_each_part(operands, numel, [&](const auto& part) { walk(part, Bulk{}); });
  }
}

}  // namespace atomics::cpu
