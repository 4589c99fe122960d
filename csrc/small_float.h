// float16 and bfloat16 from and to float32, on floats `F` and their bits `U`: single ones, or
// vectors (the compilers' vector extension), so that every machine has a fast version. A small
// float is the low half of a lane, the upper half of which is ignored, or 0. The values are those
// of torch's conversions.
#pragma once

#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>

#include <bit>
#include <cstdint>
#include <type_traits>

#include "ops/macros.h"

namespace atomics {

// What a float is truncated to.
template <class F>
struct WholeOf {
  using type = decltype(F{} < F{});
};
template <>
struct WholeOf<float> {
  using type = int32_t;
};

template <class To, class From>
ATOMICS_HD To convert(From from) {
  if constexpr (std::is_arithmetic_v<From>) {
    return static_cast<To>(from);
  } else {
    return __builtin_convertvector(from, To);
  }
}

template <class F>
ATOMICS_HD F magnitude(F value) {
  return value < 0 ? -value : value;
}

template <class T>
struct SmallFloat;

template <>
struct SmallFloat<torch::headeronly::BFloat16> {
  template <class F, class U>
  ATOMICS_HD static F widen(U lane) {
    return std::bit_cast<F>(lane << 16);
  }

  template <class U, class F>
  ATOMICS_HD static U nearest(F value) {
    const U bits = std::bit_cast<U>(value);
    const U rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;  // ties to even
    return value == value ? rounded : U{} + 0x7FC0;
  }

  // Up with the probability of what truncating would lose, in units of what it would keep. Beyond
  // the largest number to the nearest, which is it or infinity.
  template <class U, class F>
  ATOMICS_HD static U stochastic(F value, U random) {
    const F largest = F{} + 0x1.FEp127f;
    const U rounded = (std::bit_cast<U>(value) + (random >> 16)) >> 16;
    return magnitude(value) <= largest ? rounded : nearest<U>(value);
  }
};

template <>
struct SmallFloat<torch::headeronly::Half> {
  // As in FP16 (Dukhan, 2017), which torch's scalar conversions come from: floating-point
  // arithmetic rebiases the exponent and normalizes.
  template <class F, class U>
  ATOMICS_HD static F widen(U lane) {
    const U word = lane << 16;
    const U sign = word & 0x80000000u;
    const U twice = word + word;
    const F normal = std::bit_cast<F>((twice >> 4) + (0xE0u << 23)) * 0x1p-112f;
    const F subnormal = std::bit_cast<F>((twice >> 17) | (126u << 23)) - 0.5f;
    const U bits = twice < (1u << 27) ? std::bit_cast<U>(subnormal) : std::bit_cast<U>(normal);
    return std::bit_cast<F>(sign | bits);
  }

  template <class U, class F>
  ATOMICS_HD static U nearest(F value) {
    const U word = std::bit_cast<U>(value);
    const U twice = word + word;
    const F base = std::bit_cast<F>(word & 0x7FFFFFFFu) * 0x1p112f * 0x1p-110f;
    const U exponent = twice & 0xFF000000u;
    const U bias = exponent < 0x71000000u ? U{} + 0x71000000u : exponent;
    const U bits = std::bit_cast<U>(std::bit_cast<F>((bias >> 1) + 0x07800000u) + base);
    const U finite = (bits >> 13 & 0x7C00u) + (bits & 0x0FFFu);
    return (word >> 16 & 0x8000u) | (twice > 0xFF000000u ? U{} + 0x7E00u : finite);
  }

  // Subnormals, whose steps are all of one size, to 24 random bits; normals exactly.
  template <class U, class F>
  ATOMICS_HD static U stochastic(F value, U random) {
    const U word = std::bit_cast<U>(value);
    const F size = magnitude(value);
    const U normal = nearest<U>(std::bit_cast<F>((word + (random >> 19)) & 0xFFFFE000u));

    const F steps = (size < 0x1p-14f ? size : F{}) * 0x1p24f;
    using Whole = typename WholeOf<F>::type;
    const auto whole = convert<Whole>(steps);
    const F part = steps - convert<F>(whole);
    const F draw = convert<F>(std::bit_cast<Whole>(random >> 8));
    const U up = draw * 0x1p-24f < part ? U{} + 1 : U{};
    const U subnormal = (word >> 16 & 0x8000u) | (std::bit_cast<U>(whole) + up);

    const U inside = size < 0x1p-14f ? subnormal : normal;
    return size <= 65504.0f ? inside : nearest<U>(value);
  }
};

}  // namespace atomics
