// One atomic cell in host memory: what the op structs of csrc/ops see of this machine.
#pragma once

#include <atomic>
#include <cstdint>
#include <type_traits>

#include "../ops/cell.h"
#include "cas_loop.h"

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

// `Atomic` is this machine's, or that of a model (tests/verify/relacy).
template <class T, class Order, class Atomic = std::atomic_ref<T>>
class Ref {
 public:
  using value_type = T;
  using operand_type = Widened<T>;

  template <class Memory>
  explicit Ref(Memory* address) : cell_(*address) {
    static_assert(Atomic::is_always_lock_free);
    static_assert(Atomic::required_alignment == sizeof(T));
  }

  T load() const { return cell_.load(Order::kLoad); }
  void store(T value) const { cell_.store(value, Order::kStore); }
  T exchange(T value) const { return cell_.exchange(value, Order::kUpdate); }
  // atomic_ref compares object representations, so a NaN cannot keep a loop from ending.
  bool compare_exchange(T& expected, T desired) const {
    return cell_.compare_exchange_strong(expected, desired, Order::kUpdate, Order::kLoad);
  }

  T fetch_add(operand_type value) const {
    if constexpr (std::is_arithmetic_v<T>) {
      return cell_.fetch_add(value, Order::kUpdate);
    } else {
      return fetch_update([&](operand_type before) { return before + value; });
    }
  }
  T fetch_sub(operand_type value) const {
    if constexpr (std::is_arithmetic_v<T>) {
      return cell_.fetch_sub(value, Order::kUpdate);
    } else {
      return fetch_update([&](operand_type before) { return before - value; });
    }
  }
  T fetch_and(T value) const { return cell_.fetch_and(value, Order::kUpdate); }
  T fetch_or(T value) const { return cell_.fetch_or(value, Order::kUpdate); }
  T fetch_xor(T value) const { return cell_.fetch_xor(value, Order::kUpdate); }

  // Writes after(before), rounded once, and returns what was there before.
  template <class After>
  T fetch_update(After after) const {
    T old = load();
    update_if<T>(
        old,
        [&](T before, T& next) {
          next = static_cast<T>(after(static_cast<operand_type>(before)));
          return true;
        },
        try_swap());
    return old;
  }

  // Calls step(before, after): where it is true, `after` is written. `old` is what was there
  // before.
  template <class Step>
  bool try_update(T& old, Step step) const {
    old = load();
    return update_if<operand_type>(
        old,
        [&](T before, operand_type& after) {
          return step(static_cast<operand_type>(before), after);
        },
        try_swap());
  }

 private:
  auto try_swap() const {
    return [this](T& expected, auto desired) {
      return cell_.compare_exchange_weak(expected, static_cast<T>(desired), Order::kUpdate,
                                         Order::kLoad);
    };
  }

  Atomic cell_;
};

// The product, of integers modulo a power of two: through uint64_t, which keeps narrow types from
// being promoted to a signed int, whose overflow is undefined.
template <class T>
T wrapping_multiply(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  } else {
    return a * b;
  }
}

}  // namespace atomics::cpu
