// Whether tensors share memory, exactly: the sufficient tests first, then element by element.
#pragma once

#include "view.h"

namespace atomics {

// Two different indices of `view` name the same memory.
bool overlaps_itself(const View& view);

// An element of `a` and an element of `b` share a byte.
bool overlaps(const View& a, const View& b);

}  // namespace atomics
