// Adding 16 bytes of neighbours at once, where nothing is fetched: red.global.add.v4.f32 and its
// kin of sm_90 and newer, whose elements are atomic each for itself; one by one on older devices.
#pragma once

#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>

#include "red.cuh"

namespace atomics::cuda {

constexpr int64_t kWord = 16;  // bytes

// The types that have it. A sum of two 16-bit floats that is rounded once is the one that is
// rounded to a float before: the instruction's result is the one of csrc/ops.
template <class T>
constexpr bool kHasWord = false;
template <>
constexpr bool kHasWord<float> = true;
template <>
constexpr bool kHasWord<torch::headeronly::Half> = true;
template <>
constexpr bool kHasWord<torch::headeronly::BFloat16> = true;

// The bits of the neighbours.
struct alignas(kWord) Word {
  uint32_t bits[4];
};

#if __CUDA_ARCH__ >= 900

template <thread_scope scope>
__device__ void add_word(float* at, const Word& other) {
  if constexpr (scope == thread_scope_device) {
    asm volatile("red.relaxed.gpu.global.add.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(at),
                 "f"(__uint_as_float(other.bits[0])), "f"(__uint_as_float(other.bits[1])),
                 "f"(__uint_as_float(other.bits[2])), "f"(__uint_as_float(other.bits[3]))
                 : "memory");
  } else {
    asm volatile("red.relaxed.sys.global.add.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(at),
                 "f"(__uint_as_float(other.bits[0])), "f"(__uint_as_float(other.bits[1])),
                 "f"(__uint_as_float(other.bits[2])), "f"(__uint_as_float(other.bits[3]))
                 : "memory");
  }
}

template <thread_scope scope>
__device__ void add_word(torch::headeronly::Half* at, const Word& other) {
  if constexpr (scope == thread_scope_device) {
    asm volatile("red.relaxed.gpu.global.add.noftz.v4.f16x2 [%0], {%1, %2, %3, %4};" ::"l"(at),
                 "r"(other.bits[0]), "r"(other.bits[1]), "r"(other.bits[2]), "r"(other.bits[3])
                 : "memory");
  } else {
    asm volatile("red.relaxed.sys.global.add.noftz.v4.f16x2 [%0], {%1, %2, %3, %4};" ::"l"(at),
                 "r"(other.bits[0]), "r"(other.bits[1]), "r"(other.bits[2]), "r"(other.bits[3])
                 : "memory");
  }
}

template <thread_scope scope>
__device__ void add_word(torch::headeronly::BFloat16* at, const Word& other) {
  if constexpr (scope == thread_scope_device) {
    asm volatile("red.relaxed.gpu.global.add.noftz.v4.bf16x2 [%0], {%1, %2, %3, %4};" ::"l"(at),
                 "r"(other.bits[0]), "r"(other.bits[1]), "r"(other.bits[2]), "r"(other.bits[3])
                 : "memory");
  } else {
    asm volatile("red.relaxed.sys.global.add.noftz.v4.bf16x2 [%0], {%1, %2, %3, %4};" ::"l"(at),
                 "r"(other.bits[0]), "r"(other.bits[1]), "r"(other.bits[2]), "r"(other.bits[3])
                 : "memory");
  }
}

#else

template <thread_scope scope, class T>
__device__ void add_word(T* at, const Word& other) {
  const auto* const others = reinterpret_cast<const T*>(other.bits);
  for (size_t k = 0; k < sizeof(Word) / sizeof(T); ++k) {
    Ref<T, Bulk, scope>(at + k).fetch_add(others[k]);
  }
}

#endif

// The same of alpha * other.
template <class T, class Scale>
__device__ void add_scaled_word(thread_scope scope, T* at, Word other, Scale scale) {
  auto* const elements = reinterpret_cast<T*>(other.bits);
  for (size_t k = 0; k < sizeof(Word) / sizeof(T); ++k) {
    elements[k] = static_cast<T>(scale(static_cast<Widened<T>>(elements[k])));
  }
  if (scope == thread_scope_device) {
    add_word<thread_scope_device>(at, other);
  } else {
    add_word<thread_scope_system>(at, other);
  }
}

// Whether a word of these is added right: a product with alpha would be rounded to 16 bits before.
template <class T, class Scale>
constexpr bool kAddsWords = kHasWord<T> && (sizeof(T) == 4 || std::is_same_v<Scale, Unscaled>);

}  // namespace atomics::cuda
