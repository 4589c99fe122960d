// What combining needs beyond the operators, on one value and on a vector of them (the compilers'
// vector extension), whose comparisons are masks. No torch header here.
#pragma once

#include <limits>
#include <type_traits>

#include "macros.h"

namespace atomics {

template <class T>
  requires std::is_arithmetic_v<T>
ATOMICS_HD T select(bool first, T a, T b) {
  return first ? a : b;
}

template <class Mask, class V>
  requires(!std::is_arithmetic_v<V>)
ATOMICS_HD V select(Mask first, V a, V b) {
  return first ? a : b;
}

template <class V>
ATOMICS_HD auto is_nan(V value) {
  return value != value;
}

// Nothing is larger, or smaller.
template <class T>
ATOMICS_HD constexpr T largest() {
  using Limits = std::numeric_limits<T>;
  return Limits::has_infinity ? Limits::infinity() : Limits::max();
}
template <class T>
ATOMICS_HD constexpr T smallest() {
  using Limits = std::numeric_limits<T>;
  return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
}

// The sum, and whether it is the exact one up to rounding, which an integer sum that wraps is not.
template <class T>
ATOMICS_HD bool add_exactly(T a, T b, T& sum) {
  if constexpr (std::is_integral_v<T>) {
    using U = std::make_unsigned_t<T>;  // the builtin for it is not known on a GPU
    sum = static_cast<T>(static_cast<U>(static_cast<U>(a) + static_cast<U>(b)));
    return std::is_signed_v<T> ? (b < 0) == (sum < a) : sum >= a;
  } else {
    sum = a + b;
    return true;
  }
}

}  // namespace atomics
