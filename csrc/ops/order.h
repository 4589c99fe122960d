// Minimum and maximum. A NaN on either side is the result, as with torch.minimum and torch.maximum;
// of equals (-0.0 and 0.0) the cell's own stays. No torch header here: `Ref` is any atomic
// reference.
#pragma once

#include "cell.h"
#include "macros.h"
#include "value.h"

namespace atomics {

struct Min {
  static constexpr const char* kFetch = "fetch_min";
  static constexpr const char* kUpdate = "min_";
  static constexpr const char* kIndexUpdate = "index_min_";
  using Dtypes = EveryDtype;
  template <class T>
  using Cell = Ordered<T>;

  template <class Ref>
  ATOMICS_HD static auto apply(const Ref& cell, typename Ref::operand_type other) {
    if constexpr (requires { cell.fetch_min(other); }) {
      return cell.fetch_min(other);
    } else {
      return cell.fetch_update([&](auto before) { return combine(before, other); });
    }
  }
  template <class V>
  ATOMICS_HD static V combine(V before, V other) {
    return select((before <= other) | is_nan(before), before, other);
  }
  template <class T>
  ATOMICS_HD static T identity() {
    return largest<T>();
  }
};

struct Max {
  static constexpr const char* kFetch = "fetch_max";
  static constexpr const char* kUpdate = "max_";
  static constexpr const char* kIndexUpdate = "index_max_";
  using Dtypes = EveryDtype;
  template <class T>
  using Cell = Ordered<T>;

  template <class Ref>
  ATOMICS_HD static auto apply(const Ref& cell, typename Ref::operand_type other) {
    if constexpr (requires { cell.fetch_max(other); }) {
      return cell.fetch_max(other);
    } else {
      return cell.fetch_update([&](auto before) { return combine(before, other); });
    }
  }
  template <class V>
  ATOMICS_HD static V combine(V before, V other) {
    return select((before >= other) | is_nan(before), before, other);
  }
  template <class T>
  ATOMICS_HD static T identity() {
    return smallest<T>();
  }
};

}  // namespace atomics
