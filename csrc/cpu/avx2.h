// 16-bit floats as Lanes has them, of two wide words at a time, with the instructions of AVX2 and
// F16C where the machine has them.
#pragma once

#ifdef __x86_64__

#include <immintrin.h>
#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>

#include <bit>
#include <type_traits>

#include "../ops/arithmetic.h"
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

// The 16 cells of two words, in whatever order their dtype's functions below agree on.
struct Pair {
  __m256 a;
  __m256 b;
};

using WideBlock = Block<WideWord>;

// f(x, ...) of functions on Lanes' vectors. They are compiled for the baseline, which has no wider
// ones.
template <class F, class... X>
[[gnu::always_inline]] ATOMICS_AVX2 inline Pair in_halves(F&& f, X... x) {
  using Float = Vector<float, 16>;
  using Half = Twin<Float>;
  const Half low = f(Half{std::bit_cast<Float>(_mm256_castps256_ps128(x.a)),
                          std::bit_cast<Float>(_mm256_castps256_ps128(x.b))}...);
  const Half high = f(Half{std::bit_cast<Float>(_mm256_extractf128_ps(x.a, 1)),
                           std::bit_cast<Float>(_mm256_extractf128_ps(x.b, 1))}...);
  return {
      _mm256_set_m128(std::bit_cast<__m128>(high.even), std::bit_cast<__m128>(low.even)),
      _mm256_set_m128(std::bit_cast<__m128>(high.odd), std::bit_cast<__m128>(low.odd)),
  };
}

template <class Op>
[[gnu::always_inline]] ATOMICS_AVX2 inline Pair combine(Pair before, Pair other) {
  if constexpr (std::is_same_v<Op, Add>) {  // whole, the halves cost a tenth of an update
    return {_mm256_add_ps(before.a, other.a), _mm256_add_ps(before.b, other.b)};
  } else if constexpr (std::is_same_v<Op, Sub>) {
    return {_mm256_sub_ps(before.a, other.a), _mm256_sub_ps(before.b, other.b)};
  } else {
    using Half = Twin<Vector<float, 16>>;
    return in_halves([](Half x, Half y)
                         __attribute__((always_inline)) { return Op::combine(x, y); },
                     before, other);
  }
}

template <class C>
struct Pairs;

// `a` has the even cells and `b` the odd ones: in a lane of 32 bits one is the low half and the
// other the high half.
template <>
struct Pairs<torch::headeronly::BFloat16> {
  [[gnu::always_inline]] ATOMICS_AVX2 static Pair unpack(WideBlock first, WideBlock second) {
    return unpack(_mm256_set_m128i(std::bit_cast<__m128i>(second), std::bit_cast<__m128i>(first)));
  }
  [[gnu::always_inline]] ATOMICS_AVX2 static Pair read(const torch::headeronly::BFloat16* at) {
    return unpack(_mm256_loadu_si256(reinterpret_cast<const __m256i_u*>(at)));
  }
  // Of sums, which have not been rounded yet.
  [[gnu::always_inline]] ATOMICS_AVX2 static Pair read(const float* at) {
    const __m256i even = _mm256_set_epi32(14, 12, 10, 8, 6, 4, 2, 0);
    const __m256i odd = _mm256_set_epi32(15, 13, 11, 9, 7, 5, 3, 1);
    return {_mm256_i32gather_ps(at, even, 4), _mm256_i32gather_ps(at, odd, 4)};
  }
  [[gnu::always_inline]] ATOMICS_AVX2 static void pack(Pair values, WideBlock* blocks) {
    const __m256 nans = _mm256_cmp_ps(values.a, values.b, _CMP_UNORD_Q);
    __m256i even = rounded(values.a);
    __m256i odd = rounded(values.b);
    if (_mm256_movemask_ps(nans) != 0) [[unlikely]] {
      even = or_nan(even, values.a);
      odd = or_nan(odd, values.b);
    }
    const __m256i both = _mm256_blend_epi16(_mm256_srli_epi32(even, 16), odd, 0b10101010);
    blocks[0] = std::bit_cast<WideBlock>(_mm256_castsi256_si128(both));
    blocks[1] = std::bit_cast<WideBlock>(_mm256_extracti128_si256(both, 1));
  }

 private:
  [[gnu::always_inline]] ATOMICS_AVX2 static Pair unpack(__m256i cells) {
    const __m256i high = _mm256_set1_epi32(static_cast<int>(0xFFFF0000));
    return {_mm256_castsi256_ps(_mm256_slli_epi32(cells, 16)),
            _mm256_castsi256_ps(_mm256_and_si256(cells, high))};
  }
  // Numbers to the nearest, ties to even, in the upper halves; the lower ones are of no use.
  [[gnu::always_inline]] ATOMICS_AVX2 static __m256i rounded(__m256 values) {
    const __m256i bits = _mm256_castps_si256(values);
    const __m256i last = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    return _mm256_add_epi32(bits, _mm256_add_epi32(last, _mm256_set1_epi32(0x7FFF)));
  }
  [[gnu::always_inline]] ATOMICS_AVX2 static __m256i or_nan(__m256i rounded, __m256 values) {
    const __m256i nans = _mm256_castps_si256(_mm256_cmp_ps(values, values, _CMP_UNORD_Q));
    return _mm256_blendv_epi8(rounded, _mm256_set1_epi32(0x7FC00000), nans);
  }
};

// `a` has the cells of the first word and `b` those of the second.
template <>
struct Pairs<torch::headeronly::Half> {
  [[gnu::always_inline]] ATOMICS_AVX2 static Pair unpack(WideBlock first, WideBlock second) {
    return {_mm256_cvtph_ps(std::bit_cast<__m128i>(first)),
            _mm256_cvtph_ps(std::bit_cast<__m128i>(second))};
  }
  [[gnu::always_inline]] ATOMICS_AVX2 static Pair read(const torch::headeronly::Half* at) {
    const auto* words = reinterpret_cast<const __m128i_u*>(at);
    return {_mm256_cvtph_ps(_mm_loadu_si128(words)), _mm256_cvtph_ps(_mm_loadu_si128(words + 1))};
  }
  [[gnu::always_inline]] ATOMICS_AVX2 static Pair read(const float* at) {
    return {_mm256_loadu_ps(at), _mm256_loadu_ps(at + 8)};
  }
  [[gnu::always_inline]] ATOMICS_AVX2 static void pack(Pair values, WideBlock* blocks) {
    blocks[0] = std::bit_cast<WideBlock>(_mm256_cvtps_ph(values.a, _MM_FROUND_TO_NEAREST_INT));
    blocks[1] = std::bit_cast<WideBlock>(_mm256_cvtps_ph(values.b, _MM_FROUND_TO_NEAREST_INT));
  }
};

}  // namespace atomics::cpu

#endif
