// Visits the cells of a target together with the matching elements of its operands.
#pragma once

#include "../strided.h"
#include "../view.h"
#include "parallel.h"
#include "ref.h"

namespace atomics::cpu {

inline Operand writable(const View& view) {
  return {static_cast<char*>(view.tensor.mutable_data_ptr()), view.itemsize, view.dim, view.sizes,
          view.strides};
}

inline Operand readable(const View& view) {
  // Operands share one type; the walk hands these addresses out and nobody writes through them.
  auto* data = static_cast<char*>(const_cast<void*>(view.data));
  return {data, view.itemsize, view.dim, view.sizes, view.strides};
}

// A result of ours, of the sizes of `like`.
inline Operand fresh(const Tensor& result, const View& like, int64_t itemsize) {
  return {static_cast<char*>(result.mutable_data_ptr()), itemsize, like.dim, like.sizes,
          result.strides()};
}

inline Operand fresh(const Tensor& result, const View& like) {
  return fresh(result, like, like.itemsize);
}

// Operands are untyped until the dtype is dispatched; their alignment has been checked.
template <class T>
T& as(char* at) {
  return *reinterpret_cast<T*>(at);
}

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
