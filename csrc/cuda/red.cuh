// Updates that fetch nothing, which a GPU sends to its memory without waiting: PTX's red. That of
// libcu++ is an atom, which waits for a result.
#pragma once

#include <cstdint>

#include "../operand.h"
#include "../ops/table.h"
#include "../scale.h"
#include "ref.cuh"

namespace atomics::cuda {

#ifdef __CUDA_ARCH__

__device__ inline void red(Add, uint32_t* at, uint32_t other) {
  asm volatile("red.relaxed.sys.global.add.u32 [%0], %1;" ::"l"(at), "r"(other) : "memory");
}
__device__ inline void red(Add, uint64_t* at, uint64_t other) {
  asm volatile("red.relaxed.sys.global.add.u64 [%0], %1;" ::"l"(at), "l"(other) : "memory");
}
__device__ inline void red(Add, float* at, float other) {
  asm volatile("red.relaxed.sys.global.add.f32 [%0], %1;" ::"l"(at), "f"(other) : "memory");
}
__device__ inline void red(Add, double* at, double other) {
  asm volatile("red.relaxed.sys.global.add.f64 [%0], %1;" ::"l"(at), "d"(other) : "memory");
}
__device__ inline void red(Min, int32_t* at, int32_t other) {
  asm volatile("red.relaxed.sys.global.min.s32 [%0], %1;" ::"l"(at), "r"(other) : "memory");
}
__device__ inline void red(Min, int64_t* at, int64_t other) {
  asm volatile("red.relaxed.sys.global.min.s64 [%0], %1;" ::"l"(at), "l"(other) : "memory");
}
__device__ inline void red(Max, int32_t* at, int32_t other) {
  asm volatile("red.relaxed.sys.global.max.s32 [%0], %1;" ::"l"(at), "r"(other) : "memory");
}
__device__ inline void red(Max, int64_t* at, int64_t other) {
  asm volatile("red.relaxed.sys.global.max.s64 [%0], %1;" ::"l"(at), "l"(other) : "memory");
}
__device__ inline void red(And, uint32_t* at, uint32_t other) {
  asm volatile("red.relaxed.sys.global.and.b32 [%0], %1;" ::"l"(at), "r"(other) : "memory");
}
__device__ inline void red(And, uint64_t* at, uint64_t other) {
  asm volatile("red.relaxed.sys.global.and.b64 [%0], %1;" ::"l"(at), "l"(other) : "memory");
}
__device__ inline void red(Or, uint32_t* at, uint32_t other) {
  asm volatile("red.relaxed.sys.global.or.b32 [%0], %1;" ::"l"(at), "r"(other) : "memory");
}
__device__ inline void red(Or, uint64_t* at, uint64_t other) {
  asm volatile("red.relaxed.sys.global.or.b64 [%0], %1;" ::"l"(at), "l"(other) : "memory");
}
__device__ inline void red(Xor, uint32_t* at, uint32_t other) {
  asm volatile("red.relaxed.sys.global.xor.b32 [%0], %1;" ::"l"(at), "r"(other) : "memory");
}
__device__ inline void red(Xor, uint64_t* at, uint64_t other) {
  asm volatile("red.relaxed.sys.global.xor.b64 [%0], %1;" ::"l"(at), "l"(other) : "memory");
}

#else

template <class Op, class T>
__device__ void red(Op, T* at, T other) {
  Op::apply(Ref<T, Bulk>(at), other);
}

#endif

// (target, other), see visit.h. A call on one element keeps the order of its Ref.
template <class Op, class Scale>
struct VisitRed {
  Scale scale;

  template <class Cell, class At>
  __device__ void operator()(const Cell& cell, const At& at) const {
    using T = typename Cell::value_type;
    const auto other = scale(static_cast<typename Cell::operand_type>(as<T>(at[1])));
    constexpr bool kIsBulk = std::is_same_v<typename Cell::order_type, Bulk>;
    if constexpr (kIsBulk && requires { red(Op{}, &as<T>(at[0]), other); }) {
      red(Op{}, &as<T>(at[0]), other);
    } else if constexpr (kIsBulk && std::is_same_v<Op, Sub> &&
                         requires { red(Add{}, &as<T>(at[0]), other); }) {
      red(Add{}, &as<T>(at[0]), static_cast<T>(-other));
    } else {
      Op::apply(cell, other);
    }
  }
};

}  // namespace atomics::cuda
