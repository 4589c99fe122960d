// What a kernel needs to know of one tensor argument, read once through the stable ABI.
#pragma once

#include <torch/csrc/stable/device.h>
#include <torch/csrc/stable/tensor.h>

#include <cstdint>
#include <string>

namespace atomics {

using torch::headeronly::DeviceType;
using torch::headeronly::ScalarType;
using torch::stable::Device;
using torch::stable::Tensor;

struct View {
  View(const char* name, const Tensor& tensor)
      : name(name),
        tensor(tensor),
        dtype(tensor.scalar_type()),
        itemsize(static_cast<int64_t>(tensor.element_size())),
        dim(tensor.dim()),
        sizes(tensor.sizes().data()),
        strides(tensor.strides().data()),
        numel(tensor.numel()) {}

  const char* name;  // of the argument, for error messages
  const Tensor& tensor;
  ScalarType dtype;
  int64_t itemsize;
  int64_t dim;
  const int64_t* sizes;    // in elements, borrowed from the tensor
  const int64_t* strides;  // in elements, borrowed from the tensor
  int64_t numel;
};

// A new contiguous tensor. The C shim spares the two trips through the dispatcher of empty_like.
Tensor empty(int64_t dim, const int64_t* sizes, ScalarType dtype, DeviceType device);

inline Tensor empty_like(const View& view) {
  return empty(view.dim, view.sizes, view.dtype, DeviceType::CPU);
}

// Offset of the element that lies furthest from the first one. torch has no negative strides.
int64_t last_offset(const View& view);

int64_t storage_bytes(const Tensor& tensor);

// Names as torch prints them: "int64", "cuda:0", "[2, 3]".
std::string dtype_name(ScalarType dtype);
std::string device_name(const Device& device);
std::string shape_name(int64_t dim, const int64_t* sizes);

}  // namespace atomics
