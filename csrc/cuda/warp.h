// What the lanes of a warp do together that name one row: a single atomic instruction for all. No
// CUDA header here: `Warp` is a warp, or 32 threads of a test on the CPU.
#pragma once

#include <cstdint>

#include "../ops/macros.h"

namespace atomics::cuda {

constexpr uint32_t kAllLanes = ~uint32_t{0};

template <class T>
struct GroupSum {
  T before;  // of the group's lanes below this one
  T total;
  bool leads;  // the lowest lane of the group
};

// Of all lanes of a warp, which call this together: in as many steps as 32 has bits.
template <class Warp, class T>
ATOMICS_HD GroupSum<T> sum_of_warp(const Warp& warp, T value) {
  constexpr int kLanes = 32;
  T sum = value;  // of this lane and those below it
  for (int step = 1; step < kLanes; step *= 2) {
    const T other = warp.shuffle(kAllLanes, sum, (warp.lane() + kLanes - step) % kLanes);
    if (warp.lane() >= step) sum = static_cast<T>(sum + other);
  }
  const T total = warp.shuffle(kAllLanes, sum, kLanes - 1);
  return {static_cast<T>(sum - value), total, warp.lane() == 0};
}

// The sums of a group of lanes, `peers`, each of which calls this with the same peers.
template <class Warp, class T>
ATOMICS_HD GroupSum<T> sum_of_group(const Warp& warp, uint32_t peers, T value) {
  if (peers == kAllLanes) return sum_of_warp(warp, value);
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
