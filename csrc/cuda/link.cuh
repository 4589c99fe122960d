// The link between a GPU and memory that is not its own: which updates it does atomically, beside
// those of whoever the memory belongs to.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <string_view>

#include "../view.h"

namespace atomics::cuda {

// The instruction that an op is made of, as links name theirs.
struct Instruction {
  cudaAtomicOperation operation;
  unsigned capabilities;  // bits of cudaAtomicOperationCapability, of which it needs each
};

// That of `op`, an overload or an op, for floats or what is not, of `width` bytes. No capabilities
// if links have no name for it, so that none is known to do it.
Instruction instruction(std::string_view op, bool is_float, int64_t width);
Instruction instruction(std::string_view op, ScalarType dtype);

// Whether the link does `needed`: all of CUDA's instructions, or this one by itself. The device
// reaches the memory.
bool links_to_host(const char* op, const Instruction& needed, int device);
bool links_to_peer(const char* op, const Instruction& needed, int device, int peer);

}  // namespace atomics::cuda
