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

template <class T, thread_scope scope>
class AtomicRef : public ::cuda::atomic_ref<T, scope> {
 public:
  __device__ explicit AtomicRef(T& cell) : ::cuda::atomic_ref<T, scope>(cell) {}
};

// libcu++'s atom.add of a float does not say that it is of global memory. Before the next
// instruction the machine then waits for its result, to see whether it was of another kind.
template <class T, thread_scope scope>
  requires std::is_floating_point_v<T>
class AtomicRef<T, scope> : public ::cuda::atomic_ref<T, scope> {
 public:
  __device__ explicit AtomicRef(T& cell) : ::cuda::atomic_ref<T, scope>(cell), at_(&cell) {}

  __device__ T fetch_add(T other, ::cuda::std::memory_order order) const {
#ifdef __CUDA_ARCH__
    if (order == ::cuda::std::memory_order_relaxed) return relaxed_add(at_, other);
#endif
    return ::cuda::atomic_ref<T, scope>::fetch_add(other, order);
  }
  __device__ T fetch_sub(T other, ::cuda::std::memory_order order) const {
    return fetch_add(-other, order);
  }

 private:
#ifdef __CUDA_ARCH__
// The scope is part of an instruction's name, into which no template can put it.
#define ATOMICS_RELAXED_ADD(T, type, constraint)                        \
  __device__ static T relaxed_add(T* at, T other) {                     \
    T old;                                                              \
    if constexpr (scope == thread_scope_device) {                       \
      asm volatile("atom.relaxed.gpu.global.add." type " %0, [%1], %2;" \
                   : "=" constraint(old)                                \
                   : "l"(at), constraint(other)                         \
                   : "memory");                                         \
    } else {                                                            \
      asm volatile("atom.relaxed.sys.global.add." type " %0, [%1], %2;" \
                   : "=" constraint(old)                                \
                   : "l"(at), constraint(other)                         \
                   : "memory");                                         \
    }                                                                   \
    return old;                                                         \
  }
  ATOMICS_RELAXED_ADD(float, "f32", "f")
  ATOMICS_RELAXED_ADD(double, "f64", "d")
#undef ATOMICS_RELAXED_ADD
#endif

  T* at_;
};

template <class T, class Order, thread_scope scope>
using Ref = atomics::Ref<T, Order, AtomicRef<T, scope>>;

// Calls f(cell) with a Ref of a scope that is known when the kernel is launched: whether all that
// see the memory are meant, or the kernels of this device. No threads of a kernel part ways here.
template <class Order, class T, class F>
__device__ auto in_scope(thread_scope scope, T* at, F&& f) {
  return scope == thread_scope_device ? f(Ref<T, Order, thread_scope_device>(at))
                                      : f(Ref<T, Order, thread_scope_system>(at));
}

}  // namespace atomics::cuda
