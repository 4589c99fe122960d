// A tensor argument: its handle, and what a kernel needs to know of it, read once through the
// stable ABI.
#pragma once

#include <torch/csrc/stable/c/shim.h>
#include <torch/csrc/stable/device.h>
#include <torch/headeronly/core/DeviceType.h>
#include <torch/headeronly/core/ScalarType.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace atomics {

using torch::headeronly::DeviceType;
using torch::headeronly::ScalarType;
using torch::stable::Device;

// Owns a handle. torch::stable::Tensor shares one, which costs an allocation for each argument and
// a second handle for each result: a third of a one-element call.
class Tensor {
 public:
  explicit Tensor(AtenTensorHandle handle) : handle_(handle) {}
  Tensor(Tensor&& other) noexcept : handle_(other.release()) {}
  Tensor& operator=(Tensor&&) = delete;
  ~Tensor() {
    if (handle_ != nullptr) aoti_torch_delete_tensor_object(handle_);
  }

  AtenTensorHandle get() const { return handle_; }
  bool is_given() const;  // and not None
  AtenTensorHandle release() { return std::exchange(handle_, nullptr); }
  Tensor share() const;  // the same tensor, for longer than a call
  Tensor clone() const;

  ScalarType scalar_type() const;
  Device device() const;
  int64_t storage_offset() const;
  int64_t storage_bytes() const;
  const int64_t* strides() const;
  bool is_contiguous() const;
  const void* const_data_ptr() const;
  void* mutable_data_ptr() const;  // makes a lazy copy (copy-on-write) first

 private:
  AtenTensorHandle handle_;
};

struct View {
  View(const char* name, const Tensor& tensor);

  const char* name;  // of the argument, for error messages
  const Tensor& tensor;
  ScalarType dtype;
  int64_t itemsize;
  int64_t dim;
  const int64_t* sizes;    // in elements, borrowed from the tensor
  const int64_t* strides;  // in elements, borrowed from the tensor
  int64_t numel;
  const void* data;  // of the first element; mutable_data_ptr() may be another one
};

// Views of a list, all of one name.
std::vector<View> views(const char* name, const std::vector<Tensor>& tensors);

// A new contiguous tensor. The C shim spares the two trips through the dispatcher of empty_like.
Tensor empty(int64_t dim, const int64_t* sizes, ScalarType dtype, const Device& device);

inline Tensor empty_like(const View& view, const Device& device = DeviceType::CPU) {
  return empty(view.dim, view.sizes, view.dtype, device);
}

// Offset of the element that lies furthest from the first one. torch has no negative strides.
int64_t last_offset(const View& view);

// Names as torch prints them: "int64", "cuda:0", "[2, 3]".
std::string dtype_name(ScalarType dtype);
std::string device_name(const Device& device);
std::string shape_name(int64_t dim, const int64_t* sizes);

}  // namespace atomics
