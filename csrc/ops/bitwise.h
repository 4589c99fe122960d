// Bitwise and, or, xor; logical ones on bools, which are bytes of 0 and 1. No torch header here:
// `Ref` is any atomic reference.
#pragma once

#include "cell.h"
#include "macros.h"

namespace atomics {

struct And {
  static constexpr const char* kFetch = "fetch_and";
  static constexpr const char* kUpdate = "and_";
  static constexpr const char* kIndexUpdate = "index_and_";
  using Dtypes = BitDtypes;
  template <class T>
  using Cell = Bits<T>;

  template <class Ref>
  ATOMICS_HD static auto apply(const Ref& cell, typename Ref::value_type other) {
    return cell.fetch_and(other);
  }
  template <class V>
  ATOMICS_HD static V combine(V before, V other) {
    return before & other;
  }
  template <class T>
  ATOMICS_HD static T identity() {
    return static_cast<T>(~T{});
  }
};

struct Or {
  static constexpr const char* kFetch = "fetch_or";
  static constexpr const char* kUpdate = "or_";
  static constexpr const char* kIndexUpdate = "index_or_";
  using Dtypes = BitDtypes;
  template <class T>
  using Cell = Bits<T>;

  template <class Ref>
  ATOMICS_HD static auto apply(const Ref& cell, typename Ref::value_type other) {
    return cell.fetch_or(other);
  }
  template <class V>
  ATOMICS_HD static V combine(V before, V other) {
    return before | other;
  }
  template <class T>
  ATOMICS_HD static T identity() {
    return {};
  }
};

struct Xor {
  static constexpr const char* kFetch = "fetch_xor";
  static constexpr const char* kUpdate = "xor_";
  using Dtypes = BitDtypes;
  template <class T>
  using Cell = Bits<T>;

  template <class Ref>
  ATOMICS_HD static auto apply(const Ref& cell, typename Ref::value_type other) {
    return cell.fetch_xor(other);
  }
  template <class V>
  ATOMICS_HD static V combine(V before, V other) {
    return before ^ other;
  }
};

}  // namespace atomics
