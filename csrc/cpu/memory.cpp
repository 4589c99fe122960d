#include "memory.h"

#include <sys/mman.h>
#include <torch/csrc/stable/ops.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "../fail.h"

namespace atomics::cpu {

namespace {

namespace shim = torch::stable::detail;

class File {
 public:
  File(const char* op, int64_t bytes) : descriptor_(memfd_create("atomics", MFD_CLOEXEC)) {
    if (descriptor_ < 0 || ftruncate(descriptor_, bytes) != 0) {
      const std::string reason = std::strerror(errno);
      if (descriptor_ >= 0) close(descriptor_);
      fail(op, "system", "have shared memory to give", reason);
    }
  }
  ~File() { close(descriptor_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

}  // namespace

Tensor shared_zeros(const char* op, int64_t dim, const int64_t* sizes, ScalarType dtype) {
  int64_t numel = 1;
  for (int64_t d = 0; d < dim; ++d) numel *= sizes[d];
  const auto itemsize = aoti_torch_dtype_element_size(shim::to<int32_t>(shim::from(dtype)));
  const File file(op, numel * static_cast<int64_t>(itemsize));
  // aten::from_file maps the file a second time; the descriptor is not needed after that.
  std::array<StableIValue, 7> stack{shim::from(file.path()),
                                    shim::from(std::optional<bool>(true)),
                                    shim::from(std::optional<int64_t>(numel)),
                                    shim::from(std::optional<ScalarType>(dtype)),
                                    shim::from(std::nullopt),
                                    shim::from(std::nullopt),
                                    shim::from(std::nullopt)};
  TORCH_ERROR_CODE_CHECK(
      torch_call_dispatcher("aten::from_file", "", stack.data(), TORCH_ABI_VERSION));
  const auto flat = shim::to<torch::stable::Tensor>(stack[0]);
  const auto shaped = torch::stable::view(flat, {sizes, static_cast<size_t>(dim)});
  AtenTensorHandle handle = nullptr;
  TORCH_ERROR_CODE_CHECK(aoti_torch_new_tensor_handle(shaped.get(), &handle));
  return Tensor(handle);
}

}  // namespace atomics::cpu
