// Shared memory for tensors that the ops make themselves.
#pragma once

#include "../view.h"

namespace atomics::cpu {

// A zeroed tensor in a shared mapping: a forked child sees the same memory. It cannot be sent to
// other processes (torch would move it); the Python classes allocate torch's shared memory instead.
Tensor shared_zeros(const char* op, int64_t dim, const int64_t* sizes, ScalarType dtype);

}  // namespace atomics::cpu
