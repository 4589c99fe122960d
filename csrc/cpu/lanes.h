// The cells of a word as values to calculate with: a vector, or two of floats if cells are 16-bit
// floats, which are calculated with as floats and rounded once.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "../ops/cell.h"
#include "../small_float.h"
#include "wide.h"

namespace atomics::cpu {

template <class C, class Word>
struct Lanes {
  using Values = Vector<C, sizeof(Word)>;
  static constexpr int64_t kCount = sizeof(Word) / sizeof(C);

  static Values unpack(Block<Word> block) { return std::bit_cast<Values>(block); }
  static Block<Word> pack(Values values) { return std::bit_cast<Block<Word>>(values); }

  // Neighbouring elements, and one element for all lanes.
  static Values read(const C* at) {
    Values values;
    std::memcpy(&values, at, sizeof(values));
    return values;
  }
  static Values all(C value) { return value - Values{}; }
};

// Even and odd cells apart, because then no cell has to change its place: in a lane of 32 bits one
// is the low half and the other the high half.
template <class V>
struct Twin {
  V even;
  V odd;

  friend Twin operator+(Twin a, Twin b) { return {a.even + b.even, a.odd + b.odd}; }
  friend Twin operator-(Twin a, Twin b) { return {a.even - b.even, a.odd - b.odd}; }
  friend Twin operator*(Twin a, Twin b) { return {a.even * b.even, a.odd * b.odd}; }
  friend Twin operator|(Twin a, Twin b) { return {a.even | b.even, a.odd | b.odd}; }
  friend auto operator<=(Twin a, Twin b) { return twin(a.even <= b.even, a.odd <= b.odd); }
  friend auto operator>=(Twin a, Twin b) { return twin(a.even >= b.even, a.odd >= b.odd); }
  friend auto operator!=(Twin a, Twin b) { return twin(a.even != b.even, a.odd != b.odd); }

 private:
  template <class Mask>
  static Twin<Mask> twin(Mask even, Mask odd) {
    return {even, odd};
  }
};

template <class Mask, class V>
Twin<V> select(Twin<Mask> first, Twin<V> a, Twin<V> b) {
  return {first.even ? a.even : b.even, first.odd ? a.odd : b.odd};
}

template <class C, class Word>
  requires(!std::is_same_v<C, Widened<C>>)
struct Lanes<C, Word> {
  using Float = Vector<float, sizeof(Word)>;
  using Bits = Vector<uint32_t, sizeof(Word)>;
  using Values = Twin<Float>;
  static constexpr int64_t kCount = sizeof(Word) / sizeof(C);
  static_assert(std::endian::native == std::endian::little);

  static Values unpack(Block<Word> block) {
    const auto cells = std::bit_cast<Bits>(block);
    return {SmallFloat<C>::template widen<Float>(cells),
            SmallFloat<C>::template widen<Float>(cells >> 16)};
  }
  static Block<Word> pack(Values values) {
    return joined(SmallFloat<C>::template nearest<Bits>(values.even),
                  SmallFloat<C>::template nearest<Bits>(values.odd));
  }
  static Block<Word> pack_randomly(Values values, Twin<Bits> random) {
    return joined(SmallFloat<C>::template stochastic<Bits>(values.even, random.even),
                  SmallFloat<C>::template stochastic<Bits>(values.odd, random.odd));
  }

  static Values read(const C* at) {
    Block<Word> block;
    std::memcpy(&block, at, sizeof(block));
    return unpack(block);
  }
  // Of sums, which have not been rounded yet.
  static Values read(const float* at) {
    Values values;
    for (int64_t k = 0; k < kCount / 2; ++k) {
      values.even[k] = at[2 * k];
      values.odd[k] = at[2 * k + 1];
    }
    return values;
  }
  static Values all(float value) {
    return {Lanes<float, Word>::all(value), Lanes<float, Word>::all(value)};
  }

 private:
  static Block<Word> joined(Bits even, Bits odd) {
    return std::bit_cast<Block<Word>>(even | odd << 16);
  }
};

}  // namespace atomics::cpu
