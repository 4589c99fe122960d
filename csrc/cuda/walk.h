// Where the elements of a call's operands are, found from their number. No CUDA header here: tests
// compile it for the CPU.
#pragma once

#include "../ops/macros.h"
#include "../strided.h"

namespace atomics::cuda {

// 32 bits divide several times as fast on a GPU, and hold the numbers of nearly all calls.
ATOMICS_HD inline int64_t quotient(int64_t a, int64_t b) {
  if (((a | b) >> 32) == 0) return static_cast<uint32_t>(a) / static_cast<uint32_t>(b);
  return a / b;
}

// Of operands with elements. Passed to a kernel as it is.
template <size_t N>
class Walk {
 public:
  explicit Walk(const std::array<Operand, N>& operands) : dims_(joined_dims(operands)) {
    for (size_t k = 0; k < N; ++k) data_[k] = operands[k].data;
  }

  // Puts the addresses of element `i` of all operands into `at`.
  ATOMICS_HD void find(int64_t i, char* (&at)[N]) const {
    for (size_t k = 0; k < N; ++k) at[k] = data_[k];
    for (int d = 0; d < dims_.count; ++d) {
      const bool last = d == dims_.count - 1;
      const int64_t outer = last ? 0 : quotient(i, dims_.sizes[d]);
      const int64_t here = i - outer * dims_.sizes[d];
      for (size_t k = 0; k < N; ++k) at[k] += here * dims_.steps[d][k];
      i = outer;
    }
  }

  // Whether the neighbours in every operand lie side by side, but for those in the second one,
  // which may have any distance, or none: a single run without gaps.
  bool is_run(int64_t itemsize) const {
    if (dims_.count != 1) return false;
    for (size_t k = 0; k < N; ++k) {
      if (k != 1 && step(k) != itemsize) return false;
    }
    return true;
  }

  int64_t step(size_t k) const { return dims_.steps[0][k]; }  // bytes
  char* data(size_t k) const { return data_[k]; }

 private:
  Dims<N> dims_;
  char* data_[N];
};

// How `n` neighbours are cut into words of `word` bytes and what is left before and after.
struct Words {
  // `address` is that of the first neighbour, a multiple of `itemsize`.
  Words(uintptr_t address, int64_t itemsize, int64_t n, int64_t word) {
    const auto past = static_cast<int64_t>(address % static_cast<uintptr_t>(word));
    const int64_t to_next = (word - past) % word / itemsize;
    before = to_next < n ? to_next : n;
    count = (n - before) * itemsize / word;
    after = n - before - count * (word / itemsize);
  }

  int64_t before;  // elements
  int64_t count;   // words
  int64_t after;   // elements
};

}  // namespace atomics::cuda
