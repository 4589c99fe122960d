// One atomic cell: what the op structs of csrc/ops see of a machine. No torch header here.
#pragma once

#include <cstdint>
#include <type_traits>

#include "cas_loop.h"
#include "ops/cell.h"
#include "ops/macros.h"

namespace atomics {

// `Atomic` is std::atomic_ref or what has its interface: that of a GPU, or of a model
// (tests/verify/relacy).
template <class T, class Order, class Atomic>
class Ref {
 public:
  using value_type = T;
  using operand_type = Widened<T>;
  using order_type = Order;

  template <class Memory>
  ATOMICS_HD explicit Ref(Memory* address) : cell_(*address) {
    static_assert(Atomic::is_always_lock_free);
    static_assert(Atomic::required_alignment == sizeof(T));
  }

  ATOMICS_HD T load() const { return cell_.load(Order::kLoad); }
  ATOMICS_HD void store(T value) const { cell_.store(value, Order::kStore); }
  ATOMICS_HD T exchange(T value) const { return cell_.exchange(value, Order::kUpdate); }
  // atomic_ref compares object representations, so a NaN cannot keep a loop from ending.
  ATOMICS_HD bool compare_exchange(T& expected, T desired) const {
    return cell_.compare_exchange_strong(expected, desired, Order::kUpdate, Order::kLoad);
  }

  ATOMICS_HD T fetch_add(operand_type value) const {
    if constexpr (std::is_arithmetic_v<T>) {
      return cell_.fetch_add(value, Order::kUpdate);
    } else {
      return fetch_update([&](operand_type before) { return before + value; });
    }
  }
  ATOMICS_HD T fetch_sub(operand_type value) const {
    if constexpr (std::is_arithmetic_v<T>) {
      return cell_.fetch_sub(value, Order::kUpdate);
    } else {
      return fetch_update([&](operand_type before) { return before - value; });
    }
  }
  ATOMICS_HD T fetch_and(T value) const { return cell_.fetch_and(value, Order::kUpdate); }
  ATOMICS_HD T fetch_or(T value) const { return cell_.fetch_or(value, Order::kUpdate); }
  ATOMICS_HD T fetch_xor(T value) const { return cell_.fetch_xor(value, Order::kUpdate); }

  // Where the machine has them.
  ATOMICS_HD T fetch_min(T value) const
    requires(std::is_integral_v<T> && requires(Atomic cell) { cell.fetch_min(T{}); })
  {
    return cell_.fetch_min(value, Order::kUpdate);
  }
  ATOMICS_HD T fetch_max(T value) const
    requires(std::is_integral_v<T> && requires(Atomic cell) { cell.fetch_max(T{}); })
  {
    return cell_.fetch_max(value, Order::kUpdate);
  }

  // Writes after(before), rounded once, and returns what was there before.
  template <class After>
  ATOMICS_HD T fetch_update(After after) const {
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
  ATOMICS_HD bool try_update(T& old, Step step) const {
    old = load();
    return update_if<operand_type>(
        old,
        [&](T before, operand_type& after) {
          return step(static_cast<operand_type>(before), after);
        },
        try_swap());
  }

 private:
  ATOMICS_HD auto try_swap() const {
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
ATOMICS_HD T wrapping_multiply(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  } else {
    return a * b;
  }
}

}  // namespace atomics
