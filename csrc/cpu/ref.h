// One atomic cell in host memory: what the op structs of csrc/ops see of this machine.
#pragma once

#include <atomic>
#include <cstdint>
#include <type_traits>

namespace atomics::cpu {

// The one choice of memory order (docs: ops.py): sequentially consistent for one-element calls,
// acquire-release per element in bulk calls, where a full barrier each would be paid for nothing.
struct Single {
  static constexpr auto kLoad = std::memory_order_seq_cst;
  static constexpr auto kStore = std::memory_order_seq_cst;
  static constexpr auto kUpdate = std::memory_order_seq_cst;
};

struct Bulk {
  static constexpr auto kLoad = std::memory_order_acquire;
  static constexpr auto kStore = std::memory_order_release;
  static constexpr auto kUpdate = std::memory_order_acq_rel;
};

template <class T, class Order>
class Ref {
 public:
  using value_type = T;

  explicit Ref(T* address) : cell_(*address) {
    static_assert(std::atomic_ref<T>::is_always_lock_free);
    static_assert(std::atomic_ref<T>::required_alignment == sizeof(T));
  }

  T load() const { return cell_.load(Order::kLoad); }
  void store(T value) const { cell_.store(value, Order::kStore); }
  T exchange(T value) const { return cell_.exchange(value, Order::kUpdate); }
  // atomic_ref compares object representations, so a NaN cannot keep a loop from ending.
  bool compare_exchange(T& expected, T desired) const {
    return cell_.compare_exchange_strong(expected, desired, Order::kUpdate, Order::kLoad);
  }
  T fetch_add(T value) const { return cell_.fetch_add(value, Order::kUpdate); }
  T fetch_sub(T value) const { return cell_.fetch_sub(value, Order::kUpdate); }

 private:
  std::atomic_ref<T> cell_;
};

// What a fetch-add would leave: integers wrap, through uint64_t, where overflow is defined and
// which keeps narrow types from being promoted to a signed int.
template <class T>
T wrapping_add(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  } else {
    return a + b;
  }
}

template <class T>
T wrapping_multiply(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  } else {
    return a * b;
  }
}

}  // namespace atomics::cpu
