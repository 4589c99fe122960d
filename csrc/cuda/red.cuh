// Updates that fetch nothing, which a GPU sends to its memory without waiting: PTX's red. That of
// libcu++ is an atom, which waits for a result, and CUDA's own atomicAdd often becomes one.
#pragma once

#include <cstdint>

#include "../operand.h"
#include "../ops/table.h"
#include "../scale.h"
#include "ref.cuh"

namespace atomics::cuda {

#ifdef __CUDA_ARCH__

// The scope is part of an instruction's name, into which no template can put it.
#define ATOMICS_RED(Op, T, instruction, constraint)                                                \
  template <thread_scope scope>                                                                    \
  __device__ void red(Op, T* at, T other) {                                                        \
    if constexpr (scope == thread_scope_device) {                                                  \
      asm volatile("red.relaxed.gpu.global." instruction " [%0], %1;" ::"l"(at), constraint(other) \
                   : "memory");                                                                    \
    } else {                                                                                       \
      asm volatile("red.relaxed.sys.global." instruction " [%0], %1;" ::"l"(at), constraint(other) \
                   : "memory");                                                                    \
    }                                                                                              \
  }

ATOMICS_RED(Add, uint32_t, "add.u32", "r")
ATOMICS_RED(Add, uint64_t, "add.u64", "l")
ATOMICS_RED(Add, float, "add.f32", "f")
ATOMICS_RED(Add, double, "add.f64", "d")
ATOMICS_RED(Min, int32_t, "min.s32", "r")
ATOMICS_RED(Min, int64_t, "min.s64", "l")
ATOMICS_RED(Max, int32_t, "max.s32", "r")
ATOMICS_RED(Max, int64_t, "max.s64", "l")
ATOMICS_RED(And, uint32_t, "and.b32", "r")
ATOMICS_RED(And, uint64_t, "and.b64", "l")
ATOMICS_RED(Or, uint32_t, "or.b32", "r")
ATOMICS_RED(Or, uint64_t, "or.b64", "l")
ATOMICS_RED(Xor, uint32_t, "xor.b32", "r")
ATOMICS_RED(Xor, uint64_t, "xor.b64", "l")

#undef ATOMICS_RED

#else

template <thread_scope scope, class Op, class T>
__device__ void red(Op, T* at, T other) {
  Op::apply(Ref<T, Bulk, scope>(at), other);
}

#endif

// (target, other), see visit.h. A call on one element keeps the order of its Ref.
template <class Op, class Scale>
struct VisitRed {
  Scale scale;

  template <class T, class Order, thread_scope scope, class At>
  __device__ void operator()(const Ref<T, Order, scope>& cell, const At& at) const {
    const auto other = scale(static_cast<Widened<T>>(as<T>(at[1])));
    constexpr bool kIsBulk = std::is_same_v<Order, Bulk>;
    if constexpr (kIsBulk && requires { red<scope>(Op{}, &as<T>(at[0]), other); }) {
      red<scope>(Op{}, &as<T>(at[0]), other);
    } else if constexpr (kIsBulk && std::is_same_v<Op, Sub> &&
                         requires { red<scope>(Add{}, &as<T>(at[0]), other); }) {
      red<scope>(Add{}, &as<T>(at[0]), static_cast<T>(-other));
    } else {
      Op::apply(cell, other);
    }
  }
};

}  // namespace atomics::cuda
