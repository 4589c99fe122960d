#include "check.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <vector>

#include "dispatch.h"
#include "overlap.h"
#include "writable.h"

namespace atomics {

void check_device(const char* op, const Tensor& target, const char* name, const Tensor& other,
                  const char* like) {
  if (target.device() != other.device()) {
    fail(op, name, "be on " + device_name(target.device()) + " like " + like,
         device_name(other.device()));
  }
}

void check_cpu(const char* op, const std::optional<Device>& device) {
  if (device && device->type() != DeviceType::CPU) {
    fail(op, "device", "be cpu", device_name(*device));
  }
}

void check_same_dtype(const char* op, ScalarType target, const char* name, ScalarType other,
                      const char* like) {
  if (other != target) {
    fail(op, name, "have dtype " + dtype_name(target) + " like " + like, dtype_name(other));
  }
}

void check_length(const char* op, const char* like, size_t expected, const char* name,
                  size_t actual) {
  if (actual != expected) {
    fail(op, name, "have " + std::to_string(expected) + " elements like " + like,
         std::to_string(actual));
  }
}

void check_handles(const char* op, const std::vector<Tensor>& more,
                   const std::vector<Tensor>& others) {
  check_length(op, "handles", more.size() + 1, "others", others.size());
  constexpr size_t kMost = size_t{1} << 16;
  if (others.size() > kMost) {
    fail(op, "others", "have at most " + std::to_string(kMost) + " elements",
         std::to_string(others.size()));
  }
}

void check_broadcast(const char* op, const View& target, const View& other) {
  const int64_t extra = target.dim - other.dim;
  bool fits = extra >= 0;
  for (int64_t d = 0; fits && d < other.dim; ++d) {
    fits = other.sizes[d] == 1 || other.sizes[d] == target.sizes[extra + d];
  }
  if (!fits) {
    fail(op, other.name, "broadcast to target's shape " + shape_name(target.dim, target.sizes),
         shape_name(other.dim, other.sizes));
  }
}

void check_same_shape(const char* op, const View& view, const View& other) {
  if (!std::equal(view.sizes, view.sizes + view.dim, other.sizes, other.sizes + other.dim)) {
    fail(op, other.name, "have shape " + shape_name(view.dim, view.sizes) + " like " + view.name,
         shape_name(other.dim, other.sizes));
  }
}

void check_one_element(const char* op, const View& view) {
  if (view.numel != 1) {
    fail(op, view.name, "have one element", "shape " + shape_name(view.dim, view.sizes));
  }
}

template <class T>
void check_fits(const char* op, const char* name, int64_t other) {
  constexpr auto kLeast = static_cast<int64_t>(std::numeric_limits<T>::min());
  constexpr auto kMost = static_cast<int64_t>(std::numeric_limits<T>::max());
  if (other < kLeast || other > kMost) {
    fail(op, name, "fit in " + name_of_type<T>(), std::to_string(other));
  }
}
template void check_fits<bool>(const char*, const char*, int64_t);
template void check_fits<uint8_t>(const char*, const char*, int64_t);
template void check_fits<int8_t>(const char*, const char*, int64_t);
template void check_fits<int16_t>(const char*, const char*, int64_t);
template void check_fits<int32_t>(const char*, const char*, int64_t);
template void check_fits<int64_t>(const char*, const char*, int64_t);

void check_alpha(const char* op, ScalarType target, double alpha) {
  dispatch(Integers{}, target, [&]<class T>() {
    // Integers below 2**53 are exact; 2**53 itself is also what 2**53 + 1 is rounded to.
    constexpr int kBits = std::min(std::numeric_limits<T>::digits, 53);
    if (alpha != std::trunc(alpha) || !(std::abs(alpha) < std::ldexp(1.0, kBits))) {
      fail(op, "alpha",
           "be an integer of magnitude below 2**" + std::to_string(kBits) + " for " +
               name_of_type<T>() + " targets",
           std::to_string(alpha));
    }
  });
}

void check_seed(const char* op, ScalarType target, const std::optional<int64_t>& seed) {
  if (seed && !is_listed(target, SmallFloats{})) {
    fail(op, "seed", "be None for " + dtype_name(target) + " targets", std::to_string(*seed));
  }
}

void check_indexed_shapes(const char* op, const View& target, int64_t dim, const View& index,
                          std::initializer_list<View> sources) {
  if (target.dim == 0) fail(op, "target", "have at least one dimension", "shape []");
  if (dim != 0 && dim != -target.dim) fail(op, "dim", "be 0", std::to_string(dim));
  if (index.dim != 1) {
    fail(op, "index", "have one dimension", "shape " + shape_name(index.dim, index.sizes));
  }
  constexpr int64_t kMost = int64_t{1} << 32;
  if (index.numel >= kMost) {
    fail(op, "index", "have fewer than 2**32 elements", std::to_string(index.numel));
  }
  std::vector<int64_t> expected(target.sizes, target.sizes + target.dim);
  expected[0] = index.numel;
  for (const View& source : sources) {
    if (!std::equal(expected.begin(), expected.end(), source.sizes, source.sizes + source.dim)) {
      fail(op, source.name, "have shape " + shape_name(target.dim, expected.data()),
           shape_name(source.dim, source.sizes));
    }
  }
}

namespace {

std::atomic<Told*> told = nullptr;

}  // namespace

void check_memory(const char* op, const View& view) {
  if (view.numel == 0) return;
  if (Told* const tell = told.load(std::memory_order_relaxed)) [[unlikely]] {
    tell(op, view.name, view.data);
  }
  const int64_t bytes = view.tensor.storage_bytes();
  if ((view.tensor.storage_offset() + last_offset(view) + 1) * view.itemsize > bytes) {
    fail(op, view.name, "still have its memory",
         "a storage of " + std::to_string(bytes) + " bytes");
  }
  // An address as a number, to look at its low bits.
  const auto address = reinterpret_cast<uintptr_t>(view.data);
  const auto past = address % static_cast<uintptr_t>(view.itemsize);
  if (past != 0) {
    fail(op, view.name, "be aligned to " + std::to_string(view.itemsize) + " bytes",
         "an address " + std::to_string(past) + " bytes past that");
  }
}

void check_written(const char* op, const View& view) {
  if (overlaps_itself(view)) {
    fail(op, view.name, "not overlap itself", "several indices for one memory location");
  }
  if (view.numel == 0) return;
  const auto* const first = static_cast<const char*>(view.data);
  if (!is_writable(first) || !is_writable(first + last_offset(view) * view.itemsize)) {
    fail(op, view.name, "lie in memory that may be written", "read-only memory");
  }
}

void check_no_overlap(const char* op, const View& target, const View& other) {
  if (overlaps(target, other)) {
    fail(op, other.name, std::string("not share memory with ") + target.name,
         "an overlapping tensor");
  }
}

void check_elementwise(const char* op, const View& target, std::initializer_list<View> others) {
  for (const View& other : others) check_same_dtype(op, target.dtype, other.name, other.dtype);
  for (const View& other : others) check_broadcast(op, target, other);
  check_memory(op, target);
  for (const View& other : others) check_memory(op, other);
  check_written(op, target);
  for (const View& other : others) check_no_overlap(op, target, other);
}

void check_indexed(const char* op, const View& target, int64_t dim, const View& index,
                   std::initializer_list<View> sources) {
  check_dtype(op, index, Indices{});
  for (const View& source : sources) {
    check_same_dtype(op, target.dtype, source.name, source.dtype);
  }
  check_indexed_shapes(op, target, dim, index, sources);
  check_memory(op, target);
  check_memory(op, index);
  for (const View& source : sources) check_memory(op, source);
  check_written(op, target);
  check_no_overlap(op, target, index);
  for (const View& source : sources) check_no_overlap(op, target, source);
}

}  // namespace atomics

void atomics_tell_memory(atomics::Told* told) {
  atomics::told.store(told, std::memory_order_relaxed);
}
