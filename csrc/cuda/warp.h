// What the lanes of a warp do together that name one row: a single atomic instruction for all. No
// CUDA header here: `Warp` is a warp, or 32 threads of a test on the CPU.
#pragma once

#include <cstdint>

#include "../ops/macros.h"

namespace atomics::cuda {

template <class T>
struct GroupSum {
  T before;  // of the group's lanes below this one
  T total;
  bool leads;  // the lowest lane of the group
};

// The sums of a group of lanes, `peers`, each of which calls this with the same peers.
template <class Warp, class T>
ATOMICS_HD GroupSum<T> sum_of_group(const Warp& warp, uint32_t peers, T value) {
  GroupSum<T> sum{T{}, T{}, true};
  for (uint32_t rest = peers; rest != 0; rest &= rest - 1) {
    const int lane = warp.lowest(rest);
    const T other = warp.shuffle(peers, value, lane);
    if (lane < warp.lane()) {
      sum.before = static_cast<T>(sum.before + other);
      sum.leads = false;
    }
    sum.total = static_cast<T>(sum.total + other);
  }
  return sum;
}

}  // namespace atomics::cuda
