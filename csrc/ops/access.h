// Reading and replacing a cell. No torch header here: `Ref` is any atomic reference.
#pragma once

#include "cell.h"
#include "macros.h"

namespace atomics {

struct Load {
  static constexpr const char* kName = "load";
  using Dtypes = EveryDtype;
  template <class T>
  using Cell = Bits<T>;

  template <class Ref>
  ATOMICS_HD static auto apply(const Ref& cell) {
    return cell.load();
  }
};

struct Store {
  static constexpr const char* kName = "store_";
  using Dtypes = EveryDtype;
  template <class T>
  using Cell = Bits<T>;

  template <class Ref>
  ATOMICS_HD static void apply(const Ref& cell, typename Ref::value_type other) {
    cell.store(other);
  }
};

struct Exchange {
  static constexpr const char* kFetch = "exchange";
  static constexpr const char* kIndexFetch = "index_exchange";
  using Dtypes = EveryDtype;
  template <class T>
  using Cell = Bits<T>;

  template <class Ref>
  ATOMICS_HD static auto apply(const Ref& cell, typename Ref::value_type other) {
    return cell.exchange(other);
  }
  template <class V>
  ATOMICS_HD static V combine(V, V other) {
    return other;
  }
};

// Compares representations, not values: a NaN equals itself, and -0.0 differs from 0.0.
struct CompareExchange {
  static constexpr const char* kName = "compare_exchange";
  static constexpr const char* kIndex = "index_compare_exchange";
  using Dtypes = EveryDtype;
  template <class T>
  using Cell = Bits<T>;

  // On return `expected` holds what the cell held before, as with std::atomic.
  template <class Ref>
  ATOMICS_HD static bool apply(const Ref& cell, typename Ref::value_type& expected,
                               typename Ref::value_type desired) {
    return cell.compare_exchange(expected, desired);
  }
};

}  // namespace atomics
