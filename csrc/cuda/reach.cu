#include "reach.cuh"

#include <array>
#include <atomic>

#include "../fail.h"
#include "launch.cuh"

namespace atomics::cuda {

namespace {

// Whether kernels of one device update memory of another one atomically, and may from now on.
bool reaches(const char* op, const Device& from, const Device& to) {
  constexpr unsigned kMostDevices = 64;
  // Of each device, a bit for each one that it reaches.
  static std::array<std::atomic<uint64_t>, kMostDevices> known{};
  auto& slot = known[static_cast<unsigned>(from.index()) % kMostDevices];
  const uint64_t bit = uint64_t{1} << static_cast<unsigned>(to.index()) % kMostDevices;
  if ((slot.load(std::memory_order_acquire) & bit) != 0) return true;
  int can = 0;
  check_cuda(op, cudaDeviceCanAccessPeer(&can, from.index(), to.index()));
  if (can == 0) return false;
  check_cuda(op, cudaDeviceGetP2PAttribute(&can, cudaDevP2PAttrNativeAtomicSupported, from.index(),
                                           to.index()));
  if (can == 0) return false;
  // torch enables the access when it copies, as each of its allocators needs it: what
  // cudaDeviceEnablePeerAccess does is not enough for expandable segments and cudaMallocAsync.
  constexpr int64_t kBytes[] = {1};
  const Tensor there = empty(1, kBytes, ScalarType::Byte, to);
  const Tensor here = empty(1, kBytes, ScalarType::Byte, from);
  TORCH_ERROR_CODE_CHECK(aoti_torch_copy_(there.get(), here.get(), 0));
  slot.fetch_or(bit, std::memory_order_release);
  return true;
}

// What a device must have for memory of a kind; as libcu++'s documentation of atomicity has it.
struct Memory {
  cudaMemoryType type;
  cudaDeviceAttr needed;
  const char* name;
};
constexpr Memory kOfHost[] = {
    {cudaMemoryTypeHost, cudaDevAttrHostNativeAtomicSupported, "pinned memory of the host"},
    {cudaMemoryTypeManaged, cudaDevAttrConcurrentManagedAccess, "managed memory"},
    {cudaMemoryTypeUnregistered, cudaDevAttrPageableMemoryAccess, "pageable memory of the host"},
};

}  // namespace

void check_peer(const char* op, const View& target, const View& other) {
  const Device to = target.tensor.device();
  const Device from = other.tensor.device();
  if (from == to || from.type() != to.type()) {
    return check_device(op, target.tensor, other.name, other.tensor);
  }
  if (scope == thread_scope_device) {
    fail(op, "scope", "be 'system' for tensors on two devices", "'device'");
  }
  if (!reaches(op, from, to)) {
    fail(op, other.name,
         "be on " + device_name(to) + " like target, or on a GPU with atomics over its link to it",
         device_name(from));
  }
}

void check_memory_of(const char* op, const Device& device, const void* target) {
  if (scope == thread_scope_device) return;
  cudaPointerAttributes memory{};
  check_cuda(op, cudaPointerGetAttributes(&memory, target));
  for (const auto& [type, needed, name] : kOfHost) {
    if (memory.type != type) continue;
    int has = 0;
    check_cuda(op, cudaDeviceGetAttribute(&has, needed, device.index()));
    if (has != 0) continue;
    fail(op, "target",
         "lie in memory of a GPU, as " + device_name(device) +
             " has no atomics over its link to the host",
         name);
  }
}

}  // namespace atomics::cuda

int atomics_reaches_host(int device) {
  int reaches = 0;
  const auto attribute = cudaDevAttrHostNativeAtomicSupported;
  if (cudaDeviceGetAttribute(&reaches, attribute, device) == cudaSuccess) return reaches;
  cudaGetLastError();  // or the next launch would find it
  return -1;
}
