// The loops of updates that are no single instruction. They know nothing of the cell, so that
// tests/verify/relacy runs them through all interleavings. No torch header here.
#pragma once

#include "ops/macros.h"

namespace atomics {

// Calls step(before, after): where it is true, `after` is put in place of `before`, what was there,
// by try_swap(before, after), which writes to `before` what is there instead if it is another.
template <class After, class Value, class Step, class TrySwap>
ATOMICS_HD [[gnu::always_inline]] inline bool update_if(Value& before, Step&& step,
                                                        TrySwap&& try_swap) {
  for (;;) {
    After after{};
    if (!step(before, after)) return false;
    if (try_swap(before, after)) return true;
  }
}

// The same where what becomes of `before` is known already, and of any other value is again(value).
template <class Value, class Again, class TrySwap>
ATOMICS_HD [[gnu::always_inline]] inline void update_from(Value& before, Value& after,
                                                          Again&& again, TrySwap&& try_swap) {
  while (!try_swap(before, after)) [[unlikely]] {
    after = again(before);
  }
}

}  // namespace atomics
