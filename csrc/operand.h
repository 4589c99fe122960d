// What a kernel walks: the memory of a tensor argument or of a result.
#pragma once

#include "ops/macros.h"
#include "strided.h"
#include "view.h"

namespace atomics {

inline Operand writable(const View& view) {
  return {static_cast<char*>(view.tensor.mutable_data_ptr()), view.itemsize, view.dim, view.sizes,
          view.strides};
}

inline Operand readable(const View& view) {
  // Operands share one type; the walk hands these addresses out and nobody writes through them.
  auto* data = static_cast<char*>(const_cast<void*>(view.data));
  return {data, view.itemsize, view.dim, view.sizes, view.strides};
}

// A result of ours, of the sizes of `like`.
inline Operand fresh(const Tensor& result, const View& like, int64_t itemsize) {
  return {static_cast<char*>(result.mutable_data_ptr()), itemsize, like.dim, like.sizes,
          result.strides()};
}

inline Operand fresh(const Tensor& result, const View& like) {
  return fresh(result, like, like.itemsize);
}

// Operands are untyped until the dtype is dispatched; their alignment has been checked.
template <class T>
ATOMICS_HD T& as(char* at) {
  return *reinterpret_cast<T*>(at);
}

}  // namespace atomics
