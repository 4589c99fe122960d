#include "overlap.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "strided.h"

namespace atomics {

namespace {

// Calls visit(byte offset from the tensor's first element) for every element until it is false.
template <class Visit>
bool all_offsets(const View& view, Visit&& visit) {
  bool going = true;
  // The walk only does arithmetic on this null base; nothing is dereferenced.
  const std::array<Operand, 1> operand{
      {{nullptr, view.itemsize, view.dim, view.sizes, view.strides}}};
  for_each_run(operand, [&](auto at, auto step, int64_t n) {
    auto offset = reinterpret_cast<uintptr_t>(at[0]);
    for (int64_t i = 0; going && i < n; ++i, offset += static_cast<uintptr_t>(step[0])) {
      going = visit(offset);
    }
  });
  return going;
}

}  // namespace

Extent extent(const View& view) {
  // Addresses as numbers: tensors of different storages are compared.
  const auto begin = reinterpret_cast<uintptr_t>(view.data);
  if (view.numel == 0) return {begin, begin};
  return {begin, begin + static_cast<uintptr_t>((last_offset(view) + 1) * view.itemsize)};
}

bool overlaps_itself(const View& view) {
  if (view.numel < 2) return false;
  std::vector<std::pair<int64_t, int64_t>> dims;  // (stride, size)
  for (int64_t d = 0; d < view.dim; ++d) {
    if (view.sizes[d] > 1) dims.emplace_back(view.strides[d], view.sizes[d]);
  }
  std::sort(dims.begin(), dims.end());
  if (dims[0].first == 0) return true;
  int64_t reach = 0;  // of the dimensions with smaller strides, in the end of all
  bool nested = true;
  for (const auto& [stride, size] : dims) {
    nested = nested && stride > reach;
    reach += stride * (size - 1);
  }
  if (nested) return false;

  std::vector<bool> seen(static_cast<size_t>(reach) + 1);
  return !all_offsets(view, [&](uintptr_t offset) {
    auto cell = seen[offset / static_cast<uintptr_t>(view.itemsize)];
    const bool fresh = !cell;
    cell = true;
    return fresh;
  });
}

bool overlaps(const View& a, const View& b) {
  const Extent of_a = extent(a);
  const Extent of_b = extent(b);
  if (!of_a.meets(of_b)) return false;
  if (a.tensor.is_contiguous() && b.tensor.is_contiguous()) return true;

  const auto size_a = static_cast<uintptr_t>(a.itemsize);
  const auto size_b = static_cast<uintptr_t>(b.itemsize);
  std::vector<bool> bytes(of_a.end - of_a.begin);
  all_offsets(a, [&](uintptr_t offset) {
    std::fill_n(bytes.begin() + static_cast<int64_t>(offset), size_a, true);
    return true;
  });
  return !all_offsets(b, [&](uintptr_t offset) {
    for (uintptr_t byte = of_b.begin + offset; byte < of_b.begin + offset + size_b; ++byte) {
      if (byte >= of_a.begin && byte < of_a.end && bytes[byte - of_a.begin]) return false;
    }
    return true;
  });
}

}  // namespace atomics
