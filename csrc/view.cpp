#include "view.h"

#include <torch/csrc/stable/stableivalue_conversions.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <sstream>
#include <stdexcept>
#include <vector>

namespace atomics {

namespace shim = torch::stable::detail;

namespace {

// What the dtype codes of the running torch mean: torch::stable asks it for each code in turn, at
// every call.
struct Dtype {
  ScalarType type = ScalarType::Undefined;
  int64_t itemsize = 0;
};

constexpr int32_t kDtypeCodes = 128;

Dtype dtype_of(AtenTensorHandle tensor) {
  static const auto dtypes = [] {
    using enum ScalarType;
    std::array<Dtype, kDtypeCodes> table;
    for (const ScalarType type :
         {Bool, Byte, Char, Short, Int, Long, Half, BFloat16, Float, Double}) {
      const auto code = shim::to<int32_t>(shim::from(type));
      table.at(static_cast<size_t>(code)) = {
          type, static_cast<int64_t>(aoti_torch_dtype_element_size(code))};
    }
    return table;
  }();
  int32_t code = 0;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_dtype(tensor, &code));
  const auto index = static_cast<size_t>(code);
  if (index < dtypes.size() && dtypes[index].itemsize != 0) return dtypes[index];
  const auto itemsize = static_cast<int64_t>(aoti_torch_dtype_element_size(code));
  try {
    return {shim::to<ScalarType>(shim::from(code)), itemsize};
  } catch (const std::runtime_error&) {  // newer than the stable ABI that this is built for
    return {ScalarType::Undefined, itemsize};
  }
}

}  // namespace

bool Tensor::is_given() const {
  bool defined = false;
  if (handle_ != nullptr) TORCH_ERROR_CODE_CHECK(aoti_torch_is_defined(handle_, &defined));
  return defined;
}

Tensor Tensor::share() const {
  AtenTensorHandle handle = nullptr;
  TORCH_ERROR_CODE_CHECK(aoti_torch_new_tensor_handle(handle_, &handle));
  return Tensor(handle);
}

Tensor Tensor::clone() const {
  AtenTensorHandle handle = nullptr;
  TORCH_ERROR_CODE_CHECK(aoti_torch_clone(handle_, &handle));
  return Tensor(handle);
}

ScalarType Tensor::scalar_type() const { return dtype_of(handle_).type; }

Device Tensor::device() const {
  int32_t type = 0;
  int32_t index = 0;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_device_type(handle_, &type));
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_device_index(handle_, &index));
  return Device(shim::to<DeviceType>(shim::from(type)), index);
}

int64_t Tensor::storage_offset() const {
  int64_t offset = 0;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_storage_offset(handle_, &offset));
  return offset;
}

int64_t Tensor::storage_bytes() const {
  int64_t bytes = 0;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_storage_size(handle_, &bytes));
  return bytes;
}

const int64_t* Tensor::strides() const {
  int64_t* strides = nullptr;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_strides(handle_, &strides));
  return strides;
}

bool Tensor::is_contiguous() const {
  bool contiguous = false;
  TORCH_ERROR_CODE_CHECK(aoti_torch_is_contiguous(handle_, &contiguous));
  return contiguous;
}

const void* Tensor::const_data_ptr() const {
  const void* data = nullptr;
  TORCH_ERROR_CODE_CHECK(torch_get_const_data_ptr(handle_, &data));
  return data;
}

void* Tensor::mutable_data_ptr() const {
  void* data = nullptr;
  TORCH_ERROR_CODE_CHECK(torch_get_mutable_data_ptr(handle_, &data));
  return data;
}

View::View(const char* name, const Tensor& tensor)
    : name(name),
      tensor(tensor),
      dtype(ScalarType::Undefined),
      itemsize(0),
      dim(0),
      sizes(nullptr),
      strides(tensor.strides()),
      numel(1),
      data(tensor.const_data_ptr()) {
  const Dtype of_tensor = dtype_of(tensor.get());
  dtype = of_tensor.type;
  itemsize = of_tensor.itemsize;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_dim(tensor.get(), &dim));
  int64_t* borrowed = nullptr;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_sizes(tensor.get(), &borrowed));
  sizes = borrowed;
  if (dim > 1) {
    // The product can overflow where another size is 0.
    TORCH_ERROR_CODE_CHECK(aoti_torch_get_numel(tensor.get(), &numel));
  } else if (dim == 1) {
    numel = sizes[0];
  }
}

std::vector<View> views(const char* name, const std::vector<Tensor>& tensors) {
  std::vector<View> all;
  all.reserve(tensors.size());
  for (const Tensor& tensor : tensors) all.emplace_back(name, tensor);
  return all;
}

Tensor empty(int64_t dim, const int64_t* sizes, ScalarType dtype, const Device& device) {
  std::array<int64_t, 8> few;
  std::vector<int64_t> many;
  int64_t* strides = few.data();
  if (dim > static_cast<int64_t>(few.size())) {
    many.resize(static_cast<size_t>(dim));
    strides = many.data();
  }
  int64_t stride = 1;
  for (int64_t d = dim - 1; d >= 0; --d) {
    strides[d] = stride;
    // Only a tensor without elements can have sizes whose product overflows.
    if (sizes[d] > 1 && __builtin_mul_overflow(stride, sizes[d], &stride)) stride = 1;
  }
  AtenTensorHandle handle = nullptr;
  TORCH_ERROR_CODE_CHECK(aoti_torch_empty_strided(
      dim, sizes, strides, shim::to<int32_t>(shim::from(dtype)),
      shim::to<int32_t>(shim::from(device.type())), device.index(), &handle));
  return Tensor(handle);
}

int64_t last_offset(const View& view) {
  int64_t last = 0;
  for (int64_t d = 0; d < view.dim; ++d) last += (view.sizes[d] - 1) * view.strides[d];
  return last;
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
    case ScalarType::Undefined:
      return "another one";
    case ScalarType::ComplexFloat:
      return "complex64";
    case ScalarType::ComplexDouble:
      return "complex128";
    default: {
      std::string name = torch::headeronly::toString(dtype);
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char letter) { return std::tolower(letter); });
      return name;
    }
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
