#include "overlap.h"

#include <algorithm>
#include <optional>
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

// The way from an element of one tensor to an element of another one: so many of these strides, of
// each between its bounds.
class Distances {
 public:
  Distances(const View& from, const View& to) {
    for (int64_t d = 0; d < from.dim; ++d) add(from.strides[d], 1 - from.sizes[d], 0);
    for (int64_t d = 0; d < to.dim; ++d) add(to.strides[d], 0, to.sizes[d] - 1);
    std::sort(strides_.begin(), strides_.end(),
              [](const Counted& a, const Counted& b) { return a.stride > b.stride; });
  }

  // Whether one of them is `distance`; nothing if that takes too long to tell, as it does for some
  // tensors whose strides are not multiples of each other.
  std::optional<bool> has(int64_t distance) {
    tries_ = 0;
    const bool found = has(strides_.begin(), distance);
    if (tries_ > kMostTries) return std::nullopt;
    return found;
  }

 private:
  struct Counted {
    int64_t stride;
    int64_t least;
    int64_t most;
  };
  using At = std::vector<Counted>::const_iterator;

  void add(int64_t stride, int64_t least, int64_t most) {
    if (stride == 0) return;
    const auto same = std::find_if(strides_.begin(), strides_.end(),
                                   [&](const Counted& each) { return each.stride == stride; });
    if (same == strides_.end()) return strides_.push_back({stride, least, most});
    same->least += least;
    same->most += most;
  }

  // Of the strides from `at` on: tries each count of the first that leaves what the others reach.
  bool has(At at, int64_t distance) {
    if (at == strides_.end()) return distance == 0;
    int64_t least = 0;
    int64_t most = 0;
    for (At other = at + 1; other != strides_.end(); ++other) {
      least += other->least * other->stride;
      most += other->most * other->stride;
    }
    int64_t count = std::max(at->least, (distance - most) / at->stride - 1);
    for (; count <= at->most; ++count) {
      const int64_t left = distance - count * at->stride;
      if (left < least) return false;
      if (left > most) continue;
      if (++tries_ > kMostTries || has(at + 1, left)) return true;
    }
    return false;
  }

  static constexpr int kMostTries = 1000;
  std::vector<Counted> strides_;
  int tries_ = 0;
};

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
  if (a.numel == 0 || b.numel == 0) return false;
  if (a.tensor.is_contiguous() && b.tensor.is_contiguous()) return true;

  const auto bytes_between = static_cast<int64_t>(of_b.begin - of_a.begin);
  if (a.itemsize == b.itemsize && bytes_between % a.itemsize == 0) {
    const auto found = Distances(b, a).has(bytes_between / a.itemsize);
    if (found) return *found;
  }

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
