// Launches kernels: on the device of a tensor, on torch's current stream there, checked.
#pragma once

#include <cuda_runtime.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>

#include <algorithm>
#include <utility>

#include "../view.h"
#include "ref.cuh"

namespace atomics::cuda {

constexpr int kThreads = 256;  // of a block

// That of the calls of this thread, see atomics_set_device_scope.
extern constinit thread_local thread_scope scope;

// Raises what CUDA reports, which may be of an earlier call.
void check_cuda(const char* op, cudaError_t error);

// As many blocks as keep the device busy to the end.
int64_t most_blocks(const char* op, int device);

// Raises what an earlier call has found wrong, see index_error.cuh.
class Launch {
 public:
  // `updated`: memory that is not only loaded and stored to.
  Launch(const char* op, const Tensor& on, const void* updated);

  cudaStream_t stream() const { return stream_; }
  bool is_captured() const;  // into a CUDA graph: nothing runs now

  // Runs kernel(scope, args...) in `threads` threads, or in as many as keep the device busy:
  // kernels stride. The scope is the calling thread's.
  template <class... Params, class... Args>
  void operator()(void (*kernel)(thread_scope, Params...), int64_t threads, Args&&... args) const {
    const int64_t blocks = std::min((threads + kThreads - 1) / kThreads, most_blocks(op_, device_));
    cudaLaunchConfig_t config{};
    config.gridDim.x = static_cast<unsigned>(blocks);
    config.blockDim.x = kThreads;
    config.stream = stream_;
    check_cuda(op_, cudaLaunchKernelEx(&config, kernel, scope, std::forward<Args>(args)...));
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

// Has the calls of this thread be atomic for the kernels of their device only, or for all again.
// No argument of the ops, which are the same on the CPU, where it makes no difference.
extern "C" __attribute__((visibility("default"))) void atomics_set_device_scope(int only_device);
