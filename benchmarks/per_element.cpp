// What the dense ops are measured against: the loops that one writes with the standard library, an
// atomic instruction or a compare-and-swap for each element. _per_element.py compiles and calls it.
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>

namespace {

// The order of our own bulk calls (csrc/cpu/ref.h).
constexpr auto kOrder = std::memory_order_acq_rel;

// A bfloat16 is the upper half of a float.
float widen(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

// To the nearest, ties to even, as torch rounds.
uint16_t narrow(float value) {
  if (std::isnan(value)) return 0x7FC0;
  const auto bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

}  // namespace

extern "C" {

void add_float32(float* target, const float* other, int64_t n, double alpha) {
  const auto factor = static_cast<float>(alpha);
  for (int64_t i = 0; i < n; ++i) {
    std::atomic_ref<float>(target[i]).fetch_add(factor * other[i], kOrder);
  }
}

void add_bfloat16(uint16_t* target, const uint16_t* other, int64_t n, double alpha) {
  const auto factor = static_cast<float>(alpha);
  for (int64_t i = 0; i < n; ++i) {
    const std::atomic_ref<uint16_t> cell(target[i]);
    const float added = factor * widen(other[i]);
    uint16_t before = cell.load(std::memory_order_relaxed);
    while (!cell.compare_exchange_weak(before, narrow(widen(before) + added), kOrder,
                                       std::memory_order_relaxed)) {
    }
  }
}

void fetch_add_int32(int32_t* target, const int32_t* other, int32_t* old, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    old[i] = std::atomic_ref<int32_t>(target[i]).fetch_add(other[i], kOrder);
  }
}

}  // extern "C"
