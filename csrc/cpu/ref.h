// One atomic cell in host memory.
#pragma once

#include <atomic>

#include "../ref.h"

namespace atomics::cpu {

// The one choice of memory order (docs: ops.py): sequentially consistent for one-element calls,
// acquire-release per element in bulk calls, where a full barrier each would be paid for nothing.
struct Single {
  static constexpr auto kLoad = std::memory_order_seq_cst;
  static constexpr auto kStore = std::memory_order_seq_cst;
  static constexpr auto kUpdate = std::memory_order_seq_cst;
};

struct Bulk {
  static constexpr auto kLoad = std::memory_order_acquire;
  static constexpr auto kStore = std::memory_order_release;
  static constexpr auto kUpdate = std::memory_order_acq_rel;
};

template <class T, class Order, class Atomic = std::atomic_ref<T>>
using Ref = atomics::Ref<T, Order, Atomic>;

}  // namespace atomics::cpu
