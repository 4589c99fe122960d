#include "launch.cuh"

#include <array>
#include <atomic>

#include "../fail.h"
#include "index_error.cuh"
#include "reach.cuh"

namespace atomics::cuda {

constinit thread_local thread_scope scope = thread_scope_system;

void check_cuda(const char* op, cudaError_t error) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // or the next launch, ours or torch's, would find it
  fail(op, "CUDA", "succeed", cudaGetErrorString(error));
}

int64_t most_blocks(const char* op, int device) {
  constexpr int kMostDevices = 64;
  // Of a multiprocessor, which holds up to 8 of them at once, by their registers: full waves for
  // each such number, nearly.
  constexpr int kBlocksOfOne = 120;
  static std::array<std::atomic<int>, kMostDevices> known{};
  auto& slot = known[static_cast<size_t>(device) % kMostDevices];
  int count = slot.load(std::memory_order_relaxed);
  if (count == 0) {
    check_cuda(op, cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device));
    slot.store(count, std::memory_order_relaxed);
  }
  return int64_t{count} * kBlocksOfOne;
}

bool Launch::is_captured() const {
  cudaStreamCaptureStatus status{};
  check_cuda(op_, cudaStreamIsCapturing(stream_, &status));
  return status != cudaStreamCaptureStatusNone;
}

Launch::Launch(const char* op, const Tensor& on, const void* updated)
    : op_(op), device_(on.device().index()), guard_(device_), stream_(nullptr) {
  if (updated != nullptr) check_memory_of(op, on, updated);
  void* stream = nullptr;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(device_, &stream));
  stream_ = static_cast<cudaStream_t>(stream);
  check_cuda(op, cudaPeekAtLastError());  // of somebody else: now, before anything is done
  if (!is_captured()) check_earlier_indices();
}

}  // namespace atomics::cuda

void atomics_set_device_scope(int only_device) {
  using namespace atomics::cuda;
  scope = only_device != 0 ? thread_scope_device : thread_scope_system;
}
