// Addition and subtraction. Integers wrap. No torch header here: `Ref` is any atomic reference.
//
// `apply` updates one cell and returns what it held; `combine` gives what it holds afterwards, for
// one value or a vector of neighbouring ones.
#pragma once

#include "cell.h"
#include "macros.h"

namespace atomics {

struct Add {
  static constexpr const char* kFetch = "fetch_add";
  static constexpr const char* kUpdate = "add_";
  static constexpr const char* kIndexUpdate = "index_add_";
  static constexpr const char* kIndexFetch = "index_fetch_add";
  using Dtypes = NumberDtypes;
  template <class T>
  using Cell = Wrapping<T>;

  template <class Ref>
  ATOMICS_HD static auto apply(const Ref& cell, typename Ref::operand_type other) {
    return cell.fetch_add(other);
  }
  template <class V>
  ATOMICS_HD static V combine(V before, V other) {
    return before + other;
  }
  template <class T>
  ATOMICS_HD static T identity() {
    return -T{};  // of a float -0.0, which leaves a -0.0 as it is
  }
};

struct Sub {
  static constexpr const char* kFetch = "fetch_sub";
  static constexpr const char* kUpdate = "sub_";
  using Dtypes = NumberDtypes;
  template <class T>
  using Cell = Wrapping<T>;

  template <class Ref>
  ATOMICS_HD static auto apply(const Ref& cell, typename Ref::operand_type other) {
    return cell.fetch_sub(other);
  }
  template <class V>
  ATOMICS_HD static V combine(V before, V other) {
    return before - other;
  }
};

}  // namespace atomics
