// A warp of a GPU, see warp.h.
#pragma once

#include <cstdint>

#include "warp.h"

namespace atomics::cuda {

class Warp {
 public:
  __device__ int lane() const { return static_cast<int>(threadIdx.x % warpSize); }
  __device__ int lowest(uint32_t lanes) const { return __ffs(static_cast<int>(lanes)) - 1; }

  template <class T>
  __device__ T shuffle(uint32_t lanes, T value, int from) const {
    return __shfl_sync(lanes, value, from);
  }

  // All lanes of the warp call these two together.
  __device__ bool any(bool yes) const { return __any_sync(kAllLanes, yes); }
  __device__ uint32_t those(bool yes) const { return __ballot_sync(kAllLanes, yes); }

  // Those of `lanes`, all of which call this, that do so with the same row.
  __device__ uint32_t peers(uint32_t lanes, int64_t row) const {
    return __match_any_sync(lanes, static_cast<long long>(row));
  }
};

}  // namespace atomics::cuda
