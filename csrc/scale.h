// What is done to the other operand before an op.
#pragma once

#include <cstdint>
#include <type_traits>

#include "ops/cell.h"
#include "ops/macros.h"
#include "ref.h"

namespace atomics {

// Nothing, which keeps every bit.
struct Unscaled {
  template <class V>
  ATOMICS_HD V operator()(V other) const {
    return other;
  }
  template <class L>
  auto on_lanes() const {
    return [](typename L::Values other) __attribute__((always_inline)) { return other; };
  }
};

template <class C>
struct ScaledBy {
  Widened<C> alpha;

  ATOMICS_HD Widened<C> operator()(Widened<C> other) const {
    return wrapping_multiply(alpha, other);
  }
  template <class L>
  auto on_lanes() const {
    const auto factor = L::all(alpha);
    return [factor](typename L::Values other)
               __attribute__((always_inline)) { return factor * other; };
  }
};

template <class C>
ScaledBy<C> scaled_by(double alpha) {
  if constexpr (std::is_integral_v<C>) {
    return {static_cast<C>(static_cast<int64_t>(alpha))};  // whole, and negative ones wrap
  } else {
    return {static_cast<Widened<C>>(alpha)};
  }
}

}  // namespace atomics
