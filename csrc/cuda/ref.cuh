// One atomic cell in the memory of a GPU, or in what a GPU can reach.
#pragma once

#include <cuda/atomic>

#include "../ref.h"

namespace atomics::cuda {

// Calls are ordered by their stream. A call on one element also orders what other devices and the
// host see; in a bulk call that would be a fence for each element.
struct Single {
  static constexpr auto kLoad = ::cuda::std::memory_order_seq_cst;
  static constexpr auto kStore = ::cuda::std::memory_order_seq_cst;
  static constexpr auto kUpdate = ::cuda::std::memory_order_seq_cst;
};

struct Bulk {
  static constexpr auto kLoad = ::cuda::std::memory_order_relaxed;
  static constexpr auto kStore = ::cuda::std::memory_order_relaxed;
  static constexpr auto kUpdate = ::cuda::std::memory_order_relaxed;
};

template <class T, class Order>
using Ref = atomics::Ref<T, Order, ::cuda::atomic_ref<T, ::cuda::thread_scope_system>>;

}  // namespace atomics::cuda
