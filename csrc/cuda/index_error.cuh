// Indices that do not fit are found by the kernel, when the call has returned: it leaves out their
// rows and notes one, which the next call raises. Neither waits for the other, and the context
// stays usable, as it would not after a device-side assert.
#pragma once

#include <cstdint>

#include "launch.cuh"

namespace atomics::cuda {

// In memory of the host that devices write to.
struct IndexError {
  const char* op;
  int64_t index;
  int64_t rows;
  int noted;  // written last
};

// The one of this process; made at first use, while a stream is captured, too.
IndexError* index_error(const char* op);

// Raises what an earlier call noted, if anything.
void check_earlier_indices();

// In the checking mode (CAFFE2OP_ATOMICS_CHECK=1): waits for the call, and raises what it noted.
// Not while a stream is captured, which cannot be waited for.
void check_indices_now(const char* op, const Launch& launch);

__device__ inline void note(IndexError* error, const char* op, int64_t index, int64_t rows) {
  // One of a warp is enough, over the bus. Warps may overwrite each other: each notes an error.
  if (threadIdx.x % warpSize !=
      static_cast<unsigned>(__ffs(static_cast<int>(__activemask())) - 1)) {
    return;
  }
  auto* const to = static_cast<volatile IndexError*>(error);
  to->op = op;
  to->index = index;
  to->rows = rows;
  __threadfence_system();
  to->noted = 1;
}

}  // namespace atomics::cuda
