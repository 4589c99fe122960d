// Visits the cells of a target together with the matching elements of its operands.
#pragma once

#include "../check.h"
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

// What a Machine is, see dense.h and indexed.h, but for the loops.
struct OnCpu {
  static DeviceType device(const Tensor&) { return DeviceType::CPU; }

  // All arguments are there, see check_device.
  static constexpr auto check_operands = check_elementwise;
  static constexpr auto check_rows = check_indexed;
  static void check_addend(const char* op, const View& target, const View& other) {
    check_elementwise(op, target, {other});
  }
  static void check_added_rows(const char* op, const View& target, int64_t dim, const View& index,
                               const View& source) {
    check_indexed(op, target, dim, index, {source});
  }

  template <class C, size_t N, class Visit>
  static void visit(const char*, const Tensor&, const std::array<Operand, N>& operands,
                    int64_t numel, Visit visit) {
    for_each_cell<C, N>(operands, numel, visit);
  }
};

}  // namespace atomics::cpu
