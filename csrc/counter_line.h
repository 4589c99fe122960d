// The line of 64 bytes that a Counter is, see sleepers.h for its words. No torch header, no Python.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace atomics {

struct CounterLine {
  static constexpr size_t kBytes = 64;  // a memory of fewer has a value and no sleepers

  int64_t* first;  // aligned

  std::atomic_ref<int64_t> value() const { return std::atomic_ref<int64_t>(*first); }
  std::atomic_ref<uint64_t> awaited() const {
    // Signed and unsigned integers may be looked at as each other.
    return std::atomic_ref<uint64_t>(reinterpret_cast<uint64_t*>(first)[1]);
  }
  std::atomic_ref<uint32_t> wakes() const { return std::atomic_ref<uint32_t>(*slept_on()); }
  uint32_t* slept_on() const { return reinterpret_cast<uint32_t*>(first + 2); }  // a futex
};

}  // namespace atomics
