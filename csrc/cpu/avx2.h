// 16-bit floats in wide words, converted with the instructions of AVX2 and F16C where the machine
// has them: what Lanes does, two words at a time where that is faster.
#pragma once

#ifdef __x86_64__

#include <immintrin.h>
#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>

#include "lanes.h"
#include "wide.h"

// The instructions of ATOMICS_WIDE, too. To be called where has_avx2() says so.
#define ATOMICS_AVX2 __attribute__((target("cx16,prfchw,avx2,f16c")))

namespace atomics::cpu {

inline bool has_avx2() {
  static const bool has =
      has_wide() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c");
  return has;
}

template <class C>
struct Avx2Lanes;

using WideBlock = Block<WideWord>;

// Eight floats as a twin of four and four.
template <class V>
[[gnu::always_inline]] ATOMICS_AVX2 inline __m256 eight_of(V low, V high) {
  return _mm256_set_m128(std::bit_cast<__m128>(high), std::bit_cast<__m128>(low));
}

template <>
struct Avx2Lanes<torch::headeronly::BFloat16> : Lanes<torch::headeronly::BFloat16, WideWord> {
  [[gnu::always_inline]] ATOMICS_AVX2 static void pack(Values first, Values second,
                                                       WideBlock* blocks) {
    const __m256 even = eight_of(first.even, second.even);
    const __m256 odd = eight_of(first.odd, second.odd);
    if (_mm256_movemask_ps(_mm256_cmp_ps(even, odd, _CMP_UNORD_Q)) != 0) [[unlikely]] {
      blocks[0] = Lanes::pack(first);
      blocks[1] = Lanes::pack(second);
      return;
    }
    const __m256i both =
        _mm256_blend_epi16(_mm256_srli_epi32(rounded(even), 16), rounded(odd), 0b10101010);
    blocks[0] = std::bit_cast<WideBlock>(_mm256_castsi256_si128(both));
    blocks[1] = std::bit_cast<WideBlock>(_mm256_extracti128_si256(both, 1));
  }

 private:
  // Numbers to the nearest, ties to even, in the upper halves; the lower ones are of no use.
  [[gnu::always_inline]] ATOMICS_AVX2 static __m256i rounded(__m256 values) {
    const __m256i bits = _mm256_castps_si256(values);
    const __m256i last = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    return _mm256_add_epi32(bits, _mm256_add_epi32(last, _mm256_set1_epi32(0x7FFF)));
  }
};

// The twin of a block: the floats of its lower four cells and of its upper four.
template <>
struct Avx2Lanes<torch::headeronly::Half> : Lanes<torch::headeronly::Half, WideWord> {
  [[gnu::always_inline]] ATOMICS_AVX2 static Values unpack(WideBlock block) {
    return twin(_mm256_cvtph_ps(std::bit_cast<__m128i>(block)));
  }
  [[gnu::always_inline]] ATOMICS_AVX2 static Values read(const torch::headeronly::Half* at) {
    return twin(_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at))));
  }
  [[gnu::always_inline]] ATOMICS_AVX2 static Values read(const float* at) {
    return twin(_mm256_loadu_ps(at));
  }
  [[gnu::always_inline]] ATOMICS_AVX2 static void pack(Values first, Values second,
                                                       WideBlock* blocks) {
    blocks[0] = packed(first);
    blocks[1] = packed(second);
  }

 private:
  [[gnu::always_inline]] ATOMICS_AVX2 static Values twin(__m256 values) {
    return {std::bit_cast<Float>(_mm256_castps256_ps128(values)),
            std::bit_cast<Float>(_mm256_extractf128_ps(values, 1))};
  }
  [[gnu::always_inline]] ATOMICS_AVX2 static WideBlock packed(Values values) {
    const __m256 eight = eight_of(values.even, values.odd);
    return std::bit_cast<WideBlock>(_mm256_cvtps_ph(eight, _MM_FROUND_TO_NEAREST_INT));
  }
};

}  // namespace atomics::cpu

#endif
