// How a result is rounded to the cell: to the nearest, or up or down at random.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "ops/cell.h"
#include "ops/macros.h"
#include "small_float.h"

namespace atomics {

struct Nearest {
  template <class Op, class Cell>
  ATOMICS_HD auto apply(const Cell& cell, typename Cell::operand_type other, const char*) const {
    return Op::apply(cell, other);
  }
  // What a cell holds afterwards, for one that is not updated by itself.
  template <class Op, class T>
  ATOMICS_HD T combine(T before, Widened<T> other, const char*) const {
    return static_cast<T>(Op::combine(static_cast<Widened<T>>(before), other));
  }
  template <class L>
  auto pack(typename L::Values values, const char*) const {
    return L::pack(values);
  }
};

// The 64 random bits of counter `n` (SplitMix64: Steele, Lea and Flood, "Fast splittable
// pseudorandom number generators", OOPSLA 2014).
ATOMICS_HD inline uint64_t split_mix(uint64_t n) {
  uint64_t z = n * 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

// The random bits of a cell depend on the seed and on its place in the target, not on how the
// target is cut into words and threads.
class Stochastic {
 public:
  Stochastic(int64_t seed, const char* target)
      : key_(split_mix(static_cast<uint64_t>(seed) + 1)), target_(target) {}

  template <class Op, class Cell>
  ATOMICS_HD auto apply(const Cell& cell, typename Cell::operand_type other, const char* at) const {
    typename Cell::value_type before = cell.load();
    while (!cell.compare_exchange(before, combine<Op>(before, other, at))) continue;
    return before;
  }
  template <class Op, class T>
  ATOMICS_HD T combine(T before, float other, const char* at) const {
    const float value = Op::combine(static_cast<float>(before), other);
    const uint32_t rounded = SmallFloat<T>::template stochastic<uint32_t>(value, bits(at));
    return std::bit_cast<T>(static_cast<uint16_t>(rounded));
  }

  template <class L>
  auto pack(typename L::Values values, const char* at) const {
    using Numbers = std::array<uint32_t, L::kCount / 2>;
    Numbers even;
    Numbers odd;
    for (size_t k = 0; k < even.size(); ++k) {
      even[k] = bits(at + 4 * k);
      odd[k] = bits(at + 4 * k + 2);
    }
    using Random = typename L::Bits;
    return L::pack_randomly(values, {std::bit_cast<Random>(even), std::bit_cast<Random>(odd)});
  }

 private:
  ATOMICS_HD uint32_t bits(const char* cell) const {
    return static_cast<uint32_t>(split_mix(key_ + static_cast<uint64_t>(cell - target_) / 2) >> 32);
  }

  uint64_t key_;
  const char* target_;
};

}  // namespace atomics
