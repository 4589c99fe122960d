#include "index_error.cuh"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "../fail.h"

namespace atomics::cuda {

namespace {

// What is allocated does not belong to a capture that happens to be under way in this thread.
class NotCaptured {
 public:
  NotCaptured() { cudaThreadExchangeStreamCaptureMode(&mode_); }
  ~NotCaptured() { cudaThreadExchangeStreamCaptureMode(&mode_); }
  NotCaptured(const NotCaptured&) = delete;
  NotCaptured& operator=(const NotCaptured&) = delete;

 private:
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

bool checks_at_once() {
  static const bool checks = [] {
    const char* const value = std::getenv("CAFFE2OP_ATOMICS_CHECK");
    return value != nullptr && std::strcmp(value, "1") == 0;
  }();
  return checks;
}

std::atomic<IndexError*> made = nullptr;

void raise(const char* when) {
  IndexError* const error = made.load(std::memory_order_acquire);
  if (error == nullptr) return;
  const std::atomic_ref noted(error->noted);
  if (noted.load(std::memory_order_relaxed) == 0) return;
  if (noted.exchange(0, std::memory_order_acquire) == 0) return;
  fail(error->op, "index", "lie in [0, " + std::to_string(error->rows) + ")",
       std::to_string(error->index) + when);
}

}  // namespace

IndexError* index_error(const char* op) {
  static IndexError* const error = [op] {
    const NotCaptured relaxed;
    void* memory = nullptr;
    check_cuda(op, cudaHostAlloc(&memory, sizeof(IndexError),
                                 cudaHostAllocPortable | cudaHostAllocMapped));
    auto* const fresh = std::construct_at(static_cast<IndexError*>(memory));
    made.store(fresh, std::memory_order_release);
    return fresh;
  }();
  return error;
}

void check_earlier_indices() { raise(" in an earlier call, which left out that row"); }

void check_indices_now(const char* op, const Launch& launch) {
  if (!checks_at_once() || launch.is_captured()) return;
  check_cuda(op, cudaStreamSynchronize(launch.stream()));
  raise(", whose row was left out");
}

}  // namespace atomics::cuda
