// Addition and subtraction. Integers wrap. No torch header here: `Ref` is any atomic reference.
//
// `apply` updates one cell and returns what it held; `combine` gives what it holds afterwards, for
// a vector of neighbouring cells `V`, whose integers are unsigned.
#pragma once

#include "macros.h"

namespace atomics {

struct Add {
  static constexpr const char* kFetch = "fetch_add";
  static constexpr const char* kUpdate = "add_";
  static constexpr const char* kIndexUpdate = "index_add_";

  template <class Ref>
  ATOMICS_HD static auto apply(const Ref& cell, typename Ref::value_type other) {
    return cell.fetch_add(other);
  }
  template <class V>
  ATOMICS_HD static V combine(V before, V other) {
    return before + other;
  }
};

struct Sub {
  static constexpr const char* kFetch = "fetch_sub";
  static constexpr const char* kUpdate = "sub_";

  template <class Ref>
  ATOMICS_HD static auto apply(const Ref& cell, typename Ref::value_type other) {
    return cell.fetch_sub(other);
  }
  template <class V>
  ATOMICS_HD static V combine(V before, V other) {
    return before - other;
  }
};

}  // namespace atomics
