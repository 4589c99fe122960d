// Additions that are not made where they would go too far. No torch header here: `Ref` is any
// atomic reference.
#pragma once

#include "cell.h"
#include "macros.h"
#include "value.h"

namespace atomics {

// Adds where the sum, as the cell would hold it, fits the dtype and is at most `limit`. A NaN is
// never at most anything.
struct AddBelow {
  static constexpr const char* kName = "fetch_add_below";
  using Dtypes = NumberDtypes;
  template <class T>
  using Cell = T;

  // Writes what the cell held to `old` and returns whether it added.
  template <class Ref, class T = typename Ref::value_type>
  ATOMICS_HD static bool apply(const Ref& cell, T other, T limit, T& old) {
    using Wide = typename Ref::operand_type;
    return cell.try_update(old, [&](Wide before, Wide& after) {
      return add_exactly(before, static_cast<Wide>(other), after) &&
             static_cast<Wide>(static_cast<T>(after)) <= static_cast<Wide>(limit);
    });
  }
};

// Adds where the exact sum fits the dtype.
struct AddChecked {
  static constexpr const char* kName = "fetch_add_checked";
  using Dtypes = IntegerDtypes;
  template <class T>
  using Cell = T;

  // Writes what the cell held to `old` and returns whether the sum did not fit.
  template <class Ref, class T = typename Ref::value_type>
  ATOMICS_HD static bool apply(const Ref& cell, T other, T& old) {
    return !cell.try_update(old,
                            [&](T before, T& after) { return add_exactly(before, other, after); });
  }
};

}  // namespace atomics
