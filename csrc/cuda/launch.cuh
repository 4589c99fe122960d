// Launches kernels: on the device of a target, on torch's current stream there, checked.
#pragma once

#include <cuda_runtime.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>

#include <algorithm>
#include <utility>

#include "../view.h"

namespace atomics::cuda {

constexpr int kThreads = 256;  // of a block

// Raises what CUDA reports, which may be of an earlier call.
void check_cuda(const char* op, cudaError_t error);

// As many blocks as the device runs at once.
int64_t most_blocks(const char* op, int device);

// Raises what an earlier call has found wrong, see index_error.cuh.
class Launch {
 public:
  Launch(const char* op, const Tensor& target);

  cudaStream_t stream() const { return stream_; }
  bool is_captured() const;  // into a CUDA graph: nothing runs now

  // Runs kernel(args...) in `threads` threads, or in as many as the device has: kernels stride.
  template <class... Params, class... Args>
  void operator()(void (*kernel)(Params...), int64_t threads, Args&&... args) const {
    const int64_t blocks = std::min((threads + kThreads - 1) / kThreads, most_blocks(op_, device_));
    cudaLaunchConfig_t config{};
    config.gridDim.x = static_cast<unsigned>(blocks);
    config.blockDim.x = kThreads;
    config.stream = stream_;
    check_cuda(op_, cudaLaunchKernelEx(&config, kernel, std::forward<Args>(args)...));
  }

 private:
  const char* op_;
  int device_;
  torch::stable::accelerator::DeviceGuard guard_;
  cudaStream_t stream_;
};

// The first number of a thread, and from one to its next.
__device__ inline int64_t first_of_thread() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ inline int64_t threads_of_grid() { return static_cast<int64_t>(gridDim.x) * blockDim.x; }

}  // namespace atomics::cuda
