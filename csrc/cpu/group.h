// Groups equal indices of one call, so that each distinct row is updated once.
#pragma once

#include <cstdint>
#include <vector>

namespace atomics::cpu {

struct Groups {
  std::vector<int64_t> rows;    // the distinct indices, in order of first appearance
  std::vector<uint32_t> group;  // group[i]: which of `rows` index i is
};

// Every index lies in [0, row_count), and there are fewer than 2**32 of them.
Groups group_equal(const std::vector<int64_t>& index, int64_t row_count);

}  // namespace atomics::cpu
