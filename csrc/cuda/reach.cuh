// Which memory is updated atomically by the kernels of a device.
#pragma once

#include "../check.h"

namespace atomics::cuda {

// `other` is on target's device, or on another GPU that adds to target's memory over their link.
// The call then runs where `other` is, which is not copied.
void check_peer(const char* op, const View& target, const View& other);

}  // namespace atomics::cuda
