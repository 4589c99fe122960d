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

// Calls run(at, step, n) for every run: the operands' addresses, their steps in bytes, the length.
// The first operand gives the shape; the others broadcast to it. Neighbouring dimensions that are
// one run in memory for all operands are joined, so contiguous operands make a single run.
template <size_t N, class Run>
void for_each_run(const std::array<Operand, N>& operands, Run&& run) {
  using Steps = std::array<int64_t, N>;
  const Operand& first = operands[0];
  int64_t sizes[kMaxDims];
  Steps steps[kMaxDims];
  int dims = 0;  // counted from the innermost

  // Nothing to walk, and no bound on the other dimensions.
  if (std::find(first.sizes, first.sizes + first.dim, 0) != first.sizes + first.dim) return;
  for (int64_t d = 1; d <= first.dim; ++d) {
    const int64_t size = first.sizes[first.dim - d];
    if (size == 1) continue;
    Steps step{};
    for (size_t k = 0; k < N; ++k) {
      const Operand& operand = operands[k];
      const int64_t at = operand.dim - d;
      if (at >= 0 && operand.sizes[at] != 1) step[k] = operand.strides[at] * operand.itemsize;
    }
    bool joins = dims > 0;
    for (size_t k = 0; joins && k < N; ++k) {
      joins = step[k] == steps[dims - 1][k] * sizes[dims - 1];
    }
    if (joins) {
      sizes[dims - 1] *= size;
    } else {
      sizes[dims] = size;
      steps[dims] = step;
      ++dims;
    }
  }

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
