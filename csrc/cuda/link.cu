#include "link.cuh"

#include "../dispatch.h"
#include "launch.cuh"

namespace atomics::cuda {

namespace {

// What the hardware has an instruction for; of 32 and 64 bits.
struct Native {
  std::string_view name;
  cudaAtomicOperation of_integers;
  cudaAtomicOperation of_floats;
};
constexpr Native kNative[] = {
    {"add", cudaAtomicOperationIntegerAdd, cudaAtomicOperationFloatAdd},
    {"sub", cudaAtomicOperationIntegerAdd, cudaAtomicOperationFloatAdd},
    {"min", cudaAtomicOperationIntegerMin, cudaAtomicOperationCAS},
    {"max", cudaAtomicOperationIntegerMax, cudaAtomicOperationCAS},
    {"and", cudaAtomicOperationAnd, cudaAtomicOperationCAS},
    {"or", cudaAtomicOperationOr, cudaAtomicOperationCAS},
    {"xor", cudaAtomicOperationXOR, cudaAtomicOperationCAS},
    {"exchange", cudaAtomicOperationExchange, cudaAtomicOperationExchange},
};

// What a link that has not all instructions does by `ask`, a function of CUDA 13 and newer drivers.
template <class Ask>
bool does(const Instruction& needed, Ask ask) {
  unsigned has = 0;
  if (ask(&has, &needed.operation, 1u) != cudaSuccess) {
    cudaGetLastError();  // or the next launch would find it
    return false;
  }
  return needed.capabilities != 0 && (has & needed.capabilities) == needed.capabilities;
}

}  // namespace

Instruction instruction(std::string_view op, bool is_float, int64_t width) {
  std::string_view name = op.substr(0, op.find('.'));
  const bool updates = name.ends_with('_');
  if (updates) name.remove_suffix(1);
  for (const std::string_view form : {"index_", "fetch_"}) {
    if (name.starts_with(form)) name.remove_prefix(form.size());
  }
  auto operation = cudaAtomicOperationCAS;
  for (const auto& native : kNative) {
    if (native.name == name) operation = is_float ? native.of_floats : native.of_integers;
  }
  const bool adds_floats = operation == cudaAtomicOperationFloatAdd && updates;
  if (width < 4) {
    if (adds_floats) return {operation, 0};  // in pairs, see words.cuh
    operation = cudaAtomicOperationCAS;
  }
  unsigned needed = width == 8 ? cudaAtomicCapabilityScalar64 : cudaAtomicCapabilityScalar32;
  if (width < 4) needed |= cudaAtomicCapabilityScalar64;  // of several cells, see runs.cuh
  if (operation == cudaAtomicOperationCAS) return {operation, needed};
  if (updates) needed |= cudaAtomicCapabilityReduction;
  if (adds_floats && width == 4) needed |= cudaAtomicCapabilityVector32x4;
  if (operation == cudaAtomicOperationIntegerMin || operation == cudaAtomicOperationIntegerMax) {
    needed |= cudaAtomicCapabilitySigned;
  }
  return {operation, needed};
}

Instruction instruction(std::string_view op, ScalarType dtype) {
  int64_t width = 0;
  dispatch(types(EveryDtype{}), dtype, [&]<class T>() { width = sizeof(T); });
  return instruction(op, is_listed(dtype, Floats{}), width);
}

bool links_to_host(const char* op, const Instruction& needed, int device) {
  int all = 0;
  check_cuda(op, cudaDeviceGetAttribute(&all, cudaDevAttrHostNativeAtomicSupported, device));
  return all != 0 || does(needed, [&](auto... asked) {
           return cudaDeviceGetHostAtomicCapabilities(asked..., device);
         });
}

bool links_to_peer(const char* op, const Instruction& needed, int device, int peer) {
  int all = 0;
  check_cuda(op,
             cudaDeviceGetP2PAttribute(&all, cudaDevP2PAttrNativeAtomicSupported, device, peer));
  return all != 0 || does(needed, [&](auto... asked) {
           return cudaDeviceGetP2PAtomicCapabilities(asked..., device, peer);
         });
}

}  // namespace atomics::cuda
