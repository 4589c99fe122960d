#include "view.h"

#include <torch/csrc/stable/stableivalue_conversions.h>

#include <sstream>
#include <vector>

namespace atomics {

namespace shim = torch::stable::detail;

Tensor empty(int64_t dim, const int64_t* sizes, ScalarType dtype, DeviceType device) {
  std::vector<int64_t> strides(static_cast<size_t>(dim));
  int64_t stride = 1;
  for (int64_t d = dim - 1; d >= 0; --d) {
    strides[d] = stride;
    // Only a tensor without elements can have sizes whose product overflows.
    if (sizes[d] > 1 && __builtin_mul_overflow(stride, sizes[d], &stride)) stride = 1;
  }
  AtenTensorHandle handle = nullptr;
  TORCH_ERROR_CODE_CHECK(
      aoti_torch_empty_strided(dim, sizes, strides.data(), shim::to<int32_t>(shim::from(dtype)),
                               shim::to<int32_t>(shim::from(device)), /*device_index=*/0, &handle));
  return Tensor(handle);
}

int64_t last_offset(const View& view) {
  int64_t last = 0;
  for (int64_t d = 0; d < view.dim; ++d) last += (view.sizes[d] - 1) * view.strides[d];
  return last;
}

int64_t storage_bytes(const Tensor& tensor) {
  int64_t bytes = 0;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_storage_size(tensor.get(), &bytes));
  return bytes;
}

std::string dtype_name(ScalarType dtype) {
  switch (dtype) {
    case ScalarType::Bool:
      return "bool";
    case ScalarType::Byte:
      return "uint8";
    case ScalarType::Char:
      return "int8";
    case ScalarType::Short:
      return "int16";
    case ScalarType::Int:
      return "int32";
    case ScalarType::Long:
      return "int64";
    case ScalarType::Half:
      return "float16";
    case ScalarType::BFloat16:
      return "bfloat16";
    case ScalarType::Float:
      return "float32";
    case ScalarType::Double:
      return "float64";
    case ScalarType::ComplexFloat:
      return "complex64";
    case ScalarType::ComplexDouble:
      return "complex128";
    default:
      return torch::headeronly::toString(dtype);
  }
}

std::string device_name(const Device& device) {
  std::ostringstream out;
  switch (device.type()) {
    case DeviceType::CPU:
      return "cpu";
    case DeviceType::Meta:
      return "meta";
    case DeviceType::CUDA:
      out << "cuda";
      break;
    default:
      out << "device type " << static_cast<int>(device.type());
  }
  if (device.has_index()) out << ':' << device.index();
  return out.str();
}

std::string shape_name(int64_t dim, const int64_t* sizes) {
  std::ostringstream out;
  out << '[';
  for (int64_t d = 0; d < dim; ++d) out << (d ? ", " : "") << sizes[d];
  out << ']';
  return out.str();
}

}  // namespace atomics
