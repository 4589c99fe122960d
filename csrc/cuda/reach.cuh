// Which memory is updated atomically by the kernels of a device.
#pragma once

#include "../check.h"

namespace atomics::cuda {

// `other` is on target's device, or on another GPU that adds to target's memory over their link.
// The call then runs where `other` is, which is not copied.
void check_peer(const char* op, const View& target, const View& other);

// A target is in memory where the updates of this device, that of `on`, are atomic beside those of
// others. A CUDA tensor can lie over memory of the host or of a peer, and nothing else would tell.
// Of one device's scope they are atomic everywhere. It costs a call of CUDA's, always: updates that
// get lost do not show either. `on` has target's dtype.
void check_memory_of(const char* op, const Tensor& on, const void* target);

}  // namespace atomics::cuda

// Whether an op of a device in pinned memory of the host is atomic beside those of the host; a
// negative number if it cannot be asked. Loads are, and stores of 16 bits and more.
extern "C" __attribute__((visibility("default"))) int atomics_updates_host(const char* op,
                                                                           int is_float, int width,
                                                                           int device);
