// Shares a large call between torch's intra-op threads, as many as torch.set_num_threads says.
#pragma once

#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "../strided.h"

namespace atomics::cpu {

// Elements that are worth a thread; at::internal::GRAIN_SIZE.
constexpr int64_t kGrain = 32768;

// A forked child must not start threads once its parent has: OpenMP hangs there for ever.
bool in_forked_child();

// Calls work(begin, end) for parts of [0, count), each of whose `elements` are work.
template <class Work>
void share_out(int64_t count, int64_t elements, Work&& work) {
  if (count * elements < 2 * kGrain || in_forked_child()) {
    work(int64_t{0}, count);
  } else {
    torch::stable::parallel_for(0, count, std::max<int64_t>(kGrain / elements, 1), work);
  }
}

// Calls work(part) for parts of the operands, cut along the first one's largest dimension.
template <size_t N, class Work>
void for_each_part(const std::array<Operand, N>& operands, int64_t numel, Work&& work) {
  if (numel < 2 * kGrain) return work(operands);
  const Operand& first = operands[0];
  const int64_t cut = std::max_element(first.sizes, first.sizes + first.dim) - first.sizes;
  share_out(first.sizes[cut], numel / first.sizes[cut], [&](int64_t begin, int64_t end) {
    std::array<Operand, N> part = operands;
    std::array<std::vector<int64_t>, N> sizes;
    for (size_t k = 0; k < N; ++k) {
      const int64_t d = cut - (first.dim - part[k].dim);
      if (d < 0 || part[k].sizes[d] == 1) continue;  // the same elements for every part
      sizes[k].assign(part[k].sizes, part[k].sizes + part[k].dim);
      sizes[k][static_cast<size_t>(d)] = end - begin;
      part[k].sizes = sizes[k].data();
      part[k].data += begin * part[k].strides[d] * part[k].itemsize;
    }
    work(part);
  });
}

}  // namespace atomics::cpu
