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

using ::cuda::thread_scope;
using ::cuda::thread_scope_device;
using ::cuda::thread_scope_system;

template <class T, class Order, thread_scope scope>
using Ref = atomics::Ref<T, Order, ::cuda::atomic_ref<T, scope>>;

// Calls f(cell) with a Ref of a scope that is known when the kernel is launched: whether all that
// see the memory are meant, or the kernels of this device. No threads of a kernel part ways here.
template <class Order, class T, class F>
__device__ auto in_scope(thread_scope scope, T* at, F&& f) {
  return scope == thread_scope_device ? f(Ref<T, Order, thread_scope_device>(at))
                                      : f(Ref<T, Order, thread_scope_system>(at));
}

}  // namespace atomics::cuda
