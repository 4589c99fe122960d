#include "rows.h"

#include <numeric>

namespace atomics::cpu {

void fail_index(const char* op, const View& index, int64_t row, int64_t row_count) {
  fail(op, index.name, "lie in [0, " + std::to_string(row_count) + ")", std::to_string(row));
}

std::vector<int64_t> copy_index(const char* op, const View& index, int64_t row_count) {
  std::vector<int64_t> copy(static_cast<size_t>(index.numel));
  if (copy.empty()) return copy;
  dispatch(Indices{}, index.dtype, [&]<class T>() {
    const auto* data = static_cast<const T*>(index.data);
    const int64_t stride = index.strides[0];
    for (size_t i = 0; i < copy.size(); ++i) copy[i] = data[static_cast<int64_t>(i) * stride];
  });
  for (const int64_t row : copy) {
    if (row < 0 || row >= row_count) fail_index(op, index, row, row_count);
  }
  return copy;
}

Members::Members(const Groups& groups)
    : start_(groups.rows.size() + 1), member_(groups.group.size()) {
  for (const uint32_t g : groups.group) ++start_[g + 1];
  std::partial_sum(start_.begin(), start_.end(), start_.begin());
  std::vector<uint32_t> next = start_;
  for (size_t i = 0; i < member_.size(); ++i) {
    member_[next[groups.group[i]]++] = static_cast<uint32_t>(i);
  }
}

}  // namespace atomics::cpu
