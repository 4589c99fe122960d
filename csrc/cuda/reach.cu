#include "reach.cuh"

#include <array>
#include <atomic>
#include <exception>
#include <string>

#include "../fail.h"
#include "launch.cuh"
#include "link.cuh"

namespace atomics::cuda {

namespace {

// Whether kernels of a device may access another one's memory, from now on if not before.
bool opens(const char* op, const Device& from, const Device& to) {
  constexpr unsigned kMostDevices = 64;
  // Of each device, a bit for each one whose memory is open to it.
  static std::array<std::atomic<uint64_t>, kMostDevices> known{};
  auto& slot = known[static_cast<unsigned>(from.index()) % kMostDevices];
  const uint64_t bit = uint64_t{1} << static_cast<unsigned>(to.index()) % kMostDevices;
  if ((slot.load(std::memory_order_acquire) & bit) != 0) return true;
  int can = 0;
  check_cuda(op, cudaDeviceCanAccessPeer(&can, from.index(), to.index()));
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

// What a device must have for memory that its driver keeps where it is used; as libcu++'s
// documentation of atomicity has it.
bool has(const char* op, cudaDeviceAttr attribute, int device) {
  int value = 0;
  check_cuda(op, cudaDeviceGetAttribute(&value, attribute, device));
  return value != 0;
}

bool updates(const char* op, const Instruction& needed, int device,
             const cudaPointerAttributes& memory) {
  switch (memory.type) {
    case cudaMemoryTypeDevice:  // of a peer under symmetric memory, too, where CUDA names it
      return memory.device < 0 || links_to_peer(op, needed, device, memory.device);
    case cudaMemoryTypeHost:
      return links_to_host(op, needed, device);
    case cudaMemoryTypeManaged:
      return has(op, cudaDevAttrConcurrentManagedAccess, device);
    default:
      return has(op, cudaDevAttrPageableMemoryAccess, device);
  }
}

std::string name_of(const cudaPointerAttributes& memory) {
  switch (memory.type) {
    case cudaMemoryTypeDevice:
      return "memory of cuda:" + std::to_string(memory.device);
    case cudaMemoryTypeHost:
      return "pinned memory of the host";
    case cudaMemoryTypeManaged:
      return "managed memory";
    default:
      return "pageable memory of the host";
  }
}

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
  const Instruction needed = instruction(op, target.dtype);
  if (!links_to_peer(op, needed, from.index(), to.index()) || !opens(op, from, to)) {
    fail(op, other.name,
         "be on " + device_name(to) + " like target, or on a GPU with atomics over its link to it",
         device_name(from));
  }
}

void check_memory_of(const char* op, const Tensor& on, const void* target) {
  if (scope == thread_scope_device) return;
  cudaPointerAttributes memory{};
  check_cuda(op, cudaPointerGetAttributes(&memory, target));
  const int device = on.device().index();
  if (memory.type == cudaMemoryTypeDevice && memory.device == device) return;
  // As of a tensor that came by CUDA's IPC, which torch opens on the device where it is only.
  if (memory.type == cudaMemoryTypeDevice && memory.devicePointer == nullptr) {
    fail(op, "target", "lie in memory that " + device_name(on.device()) + " was given access to",
         name_of(memory));
  }
  if (updates(op, instruction(op, on.scalar_type()), device, memory)) return;
  fail(op, "target", "lie in memory that " + device_name(on.device()) + " updates atomically",
       name_of(memory));
}

}  // namespace atomics::cuda

int atomics_updates_host(const char* op, int is_float, int width, int device) {
  using namespace atomics::cuda;
  try {
    return links_to_host(op, instruction(op, is_float != 0, width), device) ? 1 : 0;
  } catch (const std::exception&) {
    return -1;
  }
}
