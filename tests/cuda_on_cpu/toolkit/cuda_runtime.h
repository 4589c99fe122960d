// CUDA as far as csrc/cuda uses it, on the CPU: tests/emulation.py compiles the kernels with
// it. Threads of a warp are fibers that run until they meet in one of the warp's instructions.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>

#include "../machine.h"

#define __global__
#define __device__
#define __host__

enum cudaError_t { cudaSuccess, cudaErrorCallRequiresNewerDriver };
enum cudaMemcpyKind { cudaMemcpyDeviceToHost };
enum cudaDeviceAttr {
  cudaDevAttrMultiProcessorCount,
  cudaDevAttrHostNativeAtomicSupported,
  cudaDevAttrConcurrentManagedAccess,
  cudaDevAttrPageableMemoryAccess
};
enum cudaMemoryType {
  cudaMemoryTypeUnregistered,
  cudaMemoryTypeHost,
  cudaMemoryTypeDevice,
  cudaMemoryTypeManaged
};
struct cudaPointerAttributes {
  cudaMemoryType type;
  int device;
  void* devicePointer;
};
enum cudaDeviceP2PAttr { cudaDevP2PAttrNativeAtomicSupported };
enum cudaAtomicOperation {
  cudaAtomicOperationIntegerAdd,
  cudaAtomicOperationIntegerMin,
  cudaAtomicOperationIntegerMax,
  cudaAtomicOperationAnd,
  cudaAtomicOperationOr,
  cudaAtomicOperationXOR,
  cudaAtomicOperationExchange,
  cudaAtomicOperationCAS,
  cudaAtomicOperationFloatAdd
};
enum cudaAtomicOperationCapability : unsigned {
  cudaAtomicCapabilitySigned = 1u << 0,
  cudaAtomicCapabilityReduction = 1u << 2,
  cudaAtomicCapabilityScalar32 = 1u << 3,
  cudaAtomicCapabilityScalar64 = 1u << 4,
  cudaAtomicCapabilityVector32x4 = 1u << 6
};
enum cudaStreamCaptureStatus { cudaStreamCaptureStatusNone, cudaStreamCaptureStatusActive };
enum cudaStreamCaptureMode { cudaStreamCaptureModeRelaxed };
constexpr unsigned cudaHostAllocPortable = 1;
constexpr unsigned cudaHostAllocMapped = 2;
using cudaStream_t = struct Stream*;

inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline cudaError_t cudaPeekAtLastError() { return cudaSuccess; }
inline const char* cudaGetErrorString(cudaError_t) { return "no error"; }

inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value = attribute == cudaDevAttrMultiProcessorCount || attribute == machine.attribute;
  return cudaSuccess;
}
inline cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* at) {
  void* const here = machine.no_access ? nullptr : const_cast<void*>(at);
  *attributes = {static_cast<cudaMemoryType>(machine.memory), machine.device_of_memory, here};
  return cudaSuccess;
}
inline cudaError_t cudaDeviceGetHostAtomicCapabilities(unsigned* capabilities,
                                                       const cudaAtomicOperation* operations,
                                                       unsigned count, int) {
  if (machine.old_driver) return cudaErrorCallRequiresNewerDriver;
  for (unsigned k = 0; k < count; ++k) capabilities[k] = machine.capabilities[operations[k]];
  return cudaSuccess;
}
inline cudaError_t cudaDeviceGetP2PAtomicCapabilities(unsigned* capabilities,
                                                      const cudaAtomicOperation* operations,
                                                      unsigned count, int device, int) {
  return cudaDeviceGetHostAtomicCapabilities(capabilities, operations, count, device);
}
inline cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) {
  ++machine.peer_asked;
  *can = machine.peer_access;
  return cudaSuccess;
}
inline cudaError_t cudaDeviceGetP2PAttribute(int* value, cudaDeviceP2PAttr, int, int) {
  *value = machine.peer_atomics;
  return cudaSuccess;
}
inline cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus* status) {
  *status = machine.captures ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
inline cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode*) {
  return cudaSuccess;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaHostAlloc(void** memory, size_t bytes, unsigned) {
  *memory = std::malloc(bytes);
  return cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind,
                                   cudaStream_t) {
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}

struct dim3 {
  unsigned x = 1;
  unsigned y = 1;
  unsigned z = 1;
};
struct cudaLaunchConfig_t {
  dim3 gridDim;
  dim3 blockDim;
  size_t dynamicSmemBytes;
  cudaStream_t stream;
};

// Of the fiber that runs.
inline thread_local dim3 threadIdx;
inline thread_local dim3 blockIdx;
inline thread_local dim3 blockDim;
inline thread_local dim3 gridDim;
constexpr int warpSize = 32;

// Calls body() in every thread of the grid, one warp after the other.
void emulate(dim3 grid, dim3 block, const std::function<void()>& body);

// What the lanes of `mask`, all of which call this, give; by lane. Returns when all have.
const uint64_t* gather(uint32_t mask, uint64_t given);
// All lanes of `mask` have looked.
void release(uint32_t mask);

template <class... Params, class... Args>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Params...),
                               Args&&... args) {
  [&](Params... params) {
    emulate(config->gridDim, config->blockDim, [&] { kernel(params...); });
  }(args...);
  return cudaSuccess;
}

inline void __threadfence_system() {}
inline uint32_t __activemask() { return 1u << threadIdx.x % warpSize; }
inline int __ffs(int bits) { return __builtin_ffs(bits); }

inline uint32_t __ballot_sync(uint32_t mask, bool yes) {
  const uint64_t* const given = gather(mask, yes);
  uint32_t lanes = 0;
  for (int k = 0; k < warpSize; ++k) lanes |= static_cast<uint32_t>(mask >> k & given[k] & 1) << k;
  release(mask);
  return lanes;
}
inline bool __any_sync(uint32_t mask, bool yes) { return __ballot_sync(mask, yes) != 0; }

inline uint32_t __match_any_sync(uint32_t mask, long long value) {
  const uint64_t* const given = gather(mask, static_cast<uint64_t>(value));
  uint32_t lanes = 0;
  for (int k = 0; k < warpSize; ++k) {
    if ((mask >> k & 1) != 0 && given[k] == static_cast<uint64_t>(value)) lanes |= 1u << k;
  }
  release(mask);
  return lanes;
}

template <class T>
T __shfl_sync(uint32_t mask, T value, int from) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(value));
  const uint64_t got = gather(mask, bits)[from];
  release(mask);
  T result;
  std::memcpy(&result, &got, sizeof(result));
  return result;
}
