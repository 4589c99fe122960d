// Walks tensors of one shape together, as runs along the innermost dimension. No torch header here.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace atomics {

struct Operand {
  char* data;
  int64_t itemsize;
  int64_t dim;
  const int64_t* sizes;
  const int64_t* strides;  // in elements
};

// Dimensions of two or more elements: with 63 of them a tensor has 2**63, so there are never more.
constexpr int kMaxDims = 63;

// The dimensions of operands of which the first one gives the shape and the others broadcast to it,
// from the innermost. Neighbours that are one run in memory for all operands are joined, so
// contiguous operands have a single one.
template <size_t N>
struct Dims {
  using Steps = std::array<int64_t, N>;  // in bytes

  int64_t sizes[kMaxDims];
  Steps steps[kMaxDims];
  int count = 0;
};

// Of operands with elements: without, there is no bound on the dimensions.
template <size_t N>
Dims<N> joined_dims(const std::array<Operand, N>& operands) {
  Dims<N> dims;
  auto& [sizes, steps, count] = dims;
  const Operand& first = operands[0];
  for (int64_t d = 1; d <= first.dim; ++d) {
    const int64_t size = first.sizes[first.dim - d];
    if (size == 1) continue;
    typename Dims<N>::Steps step{};
    for (size_t k = 0; k < N; ++k) {
      const Operand& operand = operands[k];
      const int64_t at = operand.dim - d;
      if (at >= 0 && operand.sizes[at] != 1) step[k] = operand.strides[at] * operand.itemsize;
    }
    bool joins = count > 0;
    for (size_t k = 0; joins && k < N; ++k) {
      joins = step[k] == steps[count - 1][k] * sizes[count - 1];
    }
    if (joins) {
      sizes[count - 1] *= size;
    } else {
      sizes[count] = size;
      steps[count] = step;
      ++count;
    }
  }
  return dims;
}

// Calls run(at, step, n) for every run: the operands' addresses, their steps in bytes, the length.
template <size_t N, class Run>
void for_each_run(const std::array<Operand, N>& operands, Run&& run) {
  using Steps = typename Dims<N>::Steps;
  const Operand& first = operands[0];
  if (std::find(first.sizes, first.sizes + first.dim, 0) != first.sizes + first.dim) return;
  const Dims<N> all = joined_dims(operands);
  const auto& [sizes, steps, dims] = all;

  std::array<char*, N> at;
  for (size_t k = 0; k < N; ++k) at[k] = operands[k].data;
  if (dims == 0) return run(at, Steps{}, int64_t{1});

  int64_t position[kMaxDims] = {};
  for (;;) {
    run(at, steps[0], sizes[0]);
    int d = 1;
    for (; d < dims; ++d) {
      for (size_t k = 0; k < N; ++k) at[k] += steps[d][k];
      if (++position[d] < sizes[d]) break;
      for (size_t k = 0; k < N; ++k) at[k] -= steps[d][k] * sizes[d];
      position[d] = 0;
    }
    if (d == dims) return;
  }
}

}  // namespace atomics
