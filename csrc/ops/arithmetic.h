// Addition and subtraction. Integers wrap. No torch header here: `Ref` is any atomic reference.
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
};

struct Sub {
  static constexpr const char* kFetch = "fetch_sub";
  static constexpr const char* kUpdate = "sub_";

  template <class Ref>
  ATOMICS_HD static auto apply(const Ref& cell, typename Ref::value_type other) {
    return cell.fetch_sub(other);
  }
};

}  // namespace atomics
