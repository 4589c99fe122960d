// Whether tensors share memory, exactly: the sufficient tests first, then element by element.
#pragma once

#include "view.h"

namespace atomics {

// The bytes that a tensor can touch, from its first to one past its last; none without elements.
struct Extent {
  uintptr_t begin;
  uintptr_t end;

  bool meets(const Extent& other) const { return begin < other.end && other.begin < end; }
};
Extent extent(const View& view);

// Two different indices of `view` name the same memory.
bool overlaps_itself(const View& view);

// An element of `a` and an element of `b` share a byte.
bool overlaps(const View& a, const View& b);

}  // namespace atomics
