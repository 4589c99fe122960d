// CUDA's runtime as far as csrc/cuda uses it, below the objects that nvcc makes: a launch runs the
// kernel's PTX. Those of the folder PTX_KERNELS, with the turns that PTX_SEED gives, or in order if
// that is 0; what was done is written to PTX_REPORT.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <utility>

#include "../../cuda_on_cpu/machine.h"
#include "grid.h"

Machine machine = [] {
  Machine machine{};
  machine.memory = cudaMemoryTypeDevice;
  machine.device_of_memory = -1;
  return machine;
}();

namespace {

using Kernels = std::map<std::string, ptx::Kernel>;

size_t together = 1;  // launches

const char* asked(const char* name) {
  const char* const value = std::getenv(name);
  if (value == nullptr) throw ptx::Error(std::string(name) + " is not set");
  return value;
}

class Device {
 public:
  Device() : seed_(std::stoull(asked("PTX_SEED"))), random_(seed_) {
    for (const auto& file : std::filesystem::directory_iterator(asked("PTX_KERNELS"))) {
      std::ifstream stream(file.path());
      kernels_.merge(ptx::parse({std::istreambuf_iterator<char>(stream), {}}));
    }
  }
  // A line for each kernel, and one for each name of instructions: how many there are, how many of
  // them were done, and how often.
  ~Device() {
    std::ofstream report(asked("PTX_REPORT"));
    std::map<std::string, std::array<int64_t, 3>> counts;
    for (const auto& [name, kernel] : kernels_) {
      report << "kernel\t" << name << "\t" << kernel.count << "\n";
      for (const ptx::Instruction& each : kernel.code) {
        auto& [all, done, times] = counts[each.name];
        ++all;
        done += each.count != 0;
        times += each.count;
      }
    }
    for (const auto& [name, count] : counts) {
      report << name << "\t" << count[0] << "\t" << count[1] << "\t" << count[2] << "\n";
    }
  }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  void launch(const std::string& name, const cudaLaunchConfig_t& config, void** args) {
    const auto found = kernels_.find(name);
    if (found == kernels_.end()) throw ptx::Error("there is no kernel " + name);
    std::mt19937_64* const turns = seed_ == 0 ? nullptr : &random_;
    grids_.push_back(std::make_unique<ptx::Grid>(found->second, config.gridDim.x, config.blockDim.x,
                                                 args, turns));
    if (grids_.size() < together) return;
    together = 1;
    const auto grids = std::exchange(grids_, {});
    ptx::run(grids, turns);
    for (const auto& grid : grids) {
      for (size_t scope = 0; scope < 2; ++scope) machine.touched[scope] += grid->touched[scope];
    }
  }

 private:
  uint64_t seed_;
  std::mt19937_64 random_;
  Kernels kernels_;
  std::vector<std::unique_ptr<ptx::Grid>> grids_;
};

std::map<const void*, std::string>& names() {
  static std::map<const void*, std::string> names;
  return names;
}

std::string error = "no error";

// What tests mean by a number, see toolkit/cuda_runtime.h.
constexpr cudaAtomicOperation kOperations[] = {
    cudaAtomicOperationIntegerAdd, cudaAtomicOperationIntegerMin, cudaAtomicOperationIntegerMax,
    cudaAtomicOperationAnd,        cudaAtomicOperationOr,         cudaAtomicOperationXOR,
    cudaAtomicOperationExchange,   cudaAtomicOperationCAS,        cudaAtomicOperationFloatAdd};
constexpr cudaDeviceAttr kAttributes[] = {
    cudaDevAttrMultiProcessorCount, cudaDevAttrHostNativeAtomicSupported,
    cudaDevAttrConcurrentManagedAccess, cudaDevAttrPageableMemoryAccess};

}  // namespace

extern "C" {

// Has the next launches run together, when the last one comes.
__attribute__((visibility("default"))) void ptx_together(size_t launches) { together = launches; }

void** __cudaRegisterFatBinary(void*) { return nullptr; }
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
void __cudaRegisterVar(void**, char*, char*, const char*, int, size_t, int, int) {}
void __cudaRegisterFunction(void**, const char* function, char*, const char* name, int, uint3*,
                            uint3*, dim3*, dim3*, int*) {
  names()[function] = name;
}
// Of launches by <<<>>>, which there are none of.
cudaError_t __cudaGetKernel(cudaKernel_t*, const void*) { return cudaErrorNotSupported; }
cudaError_t __cudaLaunchKernel(cudaKernel_t, dim3, dim3, void**, size_t, cudaStream_t) {
  return cudaErrorNotSupported;
}
unsigned __cudaPopCallConfiguration(dim3*, dim3*, size_t*, void*) { return 1; }

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function,
                                void** args) {
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  try {
    static Device device;
    device.launch(names().at(function), *config, args);
    return cudaSuccess;
  } catch (const std::exception& found) {
    error = found.what();
    return cudaErrorLaunchFailure;
  }
}

cudaError_t cudaGetLastError() { return cudaSuccess; }
cudaError_t cudaPeekAtLastError() { return cudaSuccess; }
const char* cudaGetErrorString(cudaError_t) { return error.c_str(); }

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value = attribute == kAttributes[0] || attribute == kAttributes[machine.attribute];
  return cudaSuccess;
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* at) {
  *attributes = {};
  attributes->devicePointer = machine.no_access != 0 ? nullptr : const_cast<void*>(at);
  attributes->type = static_cast<cudaMemoryType>(machine.memory);
  attributes->device = machine.device_of_memory;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetHostAtomicCapabilities(unsigned* capabilities,
                                                const cudaAtomicOperation* operations,
                                                unsigned count, int) {
  if (machine.old_driver != 0) return cudaErrorCallRequiresNewerDriver;
  for (unsigned k = 0; k < count; ++k) {
    const auto at = std::find(std::begin(kOperations), std::end(kOperations), operations[k]);
    capabilities[k] = machine.capabilities[at - kOperations];
  }
  return cudaSuccess;
}
cudaError_t cudaDeviceGetP2PAtomicCapabilities(unsigned* capabilities,
                                               const cudaAtomicOperation* operations,
                                               unsigned count, int device, int) {
  return cudaDeviceGetHostAtomicCapabilities(capabilities, operations, count, device);
}
cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) {
  ++machine.peer_asked;
  *can = machine.peer_access;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetP2PAttribute(int* value, cudaDeviceP2PAttr, int, int) {
  *value = machine.peer_atomics;
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus* status) {
  *status = machine.captures != 0 ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode*) { return cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaHostAlloc(void** memory, size_t bytes, unsigned) {
  *memory = std::malloc(bytes);
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind,
                            cudaStream_t) {
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}

}  // extern "C"
