// The op structs on real C++ threads, in loops so tight that a lost update cannot hide behind the
// cost of a call. Prints a line per check, which is named for the op that it finds out; exits with
// 1 if a total is not exact.
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <iostream>
#include <limits>
#include <numeric>
#include <thread>
#include <type_traits>
#include <vector>

#include "../csrc/cpu/ref.h"
#include "../csrc/ops/table.h"

using namespace atomics;

constexpr int kThreads = 3;
constexpr int kMeetings = 20'000;
constexpr int kMost = 1'000'000;  // three times this is exact in a float

// Calls update(rank, i) for i = 0, 1, ... in threads that start together, until they have met often
// enough, or, on a machine that has no two cores to spare, often in all. Returns how often. They
// spin before: one that slept would wake when the others are half done.
int64_t run_threads(const std::function<void(int rank, int i)>& update) {
  std::atomic<int> missing = kThreads;
  std::atomic<int> latest = 0;
  std::atomic<int> meetings = 0;
  std::atomic<int64_t> calls = 0;
  std::vector<std::jthread> threads;
  for (int rank = 0; rank < kThreads; ++rank) {
    threads.emplace_back([&, rank] {
      for (--missing; missing != 0;) std::this_thread::yield();
      int i = 0;
      for (; i < kMost && meetings.load(std::memory_order_relaxed) < kMeetings; ++i) {
        update(rank, i);
        if (latest.load(std::memory_order_relaxed) == rank) continue;
        latest.store(rank, std::memory_order_relaxed);
        meetings.fetch_add(1, std::memory_order_relaxed);
      }
      calls += i;
    });
  }
  threads.clear();  // joins
  return calls;
}

bool exact = true;

template <class T, class Order>
void report(const char* op, int64_t total, int64_t expected) {
  const bool ok = total == expected;
  std::cout << (ok ? "exact " : "WRONG ") << op << ' ' << (std::is_signed_v<T> ? "" : "u")
            << (std::is_integral_v<T> ? "int" : "float") << 8 * sizeof(T)
            << (std::is_same_v<Order, cpu::Single> ? ", single: " : ", bulk: ") << total << " of "
            << expected << '\n';
  exact = exact && ok;
}

template <class T>
int64_t sum(const std::array<T, kThreads>& parts) {
  return std::accumulate(parts.begin(), parts.end(), int64_t{0});
}

// Narrow integers wrap, in the total as in the cell.
template <class Op, class T, class Order>
void updates(int64_t sign) {
  alignas(64) T cell{};
  const int64_t calls = run_threads([&](int, int) { Op::apply(cpu::Ref<T, Order>(&cell), T{1}); });
  const auto expected = static_cast<T>(sign * calls);
  report<T, Order>(Op::kFetch, static_cast<int64_t>(cell), static_cast<int64_t>(expected));
}

template <class T, class Order>
void compare_exchanges() {
  alignas(64) T cell{};
  const int64_t calls = run_threads([&](int, int) {
    const cpu::Ref<T, Order> ref(&cell);
    T expected = Load::apply(ref);
    while (!CompareExchange::apply(ref, expected, static_cast<T>(expected + 1))) {
    }
  });
  const auto expected = static_cast<T>(calls);
  report<T, Order>(CompareExchange::kName, static_cast<int64_t>(cell),
                   static_cast<int64_t>(expected));
}

// What each call changed, going by what it found, adds up to what is there in the end: so it is if
// no two calls found the same. An exchange makes room for the next change.
template <class Op, class T, class Order>
void changes() {
  alignas(64) T cell{};
  std::array<int64_t, kThreads> changed{};
  run_threads([&](int rank, int i) {
    const cpu::Ref<T, Order> ref(&cell);
    const auto change = [&]<class By>(By, int number) {
      const auto other = static_cast<T>(number % 128);  // fits every type
      const T old = By::apply(ref, other);
      changed[rank] += static_cast<int64_t>(By::combine(old, other)) - static_cast<int64_t>(old);
    };
    change(Op{}, 37 * i + 11 * rank);
    change(Exchange{}, 53 * i + 29 * rank);
  });
  report<T, Order>(Op::kFetch, sum(changed), static_cast<int64_t>(cell));
}

// One permit: take(ref) says whether it was got, and nobody else has it until it is given back.
template <class T, class Order, class Take>
void permits(const char* op, T free, T step, Take take) {
  alignas(64) T cell = free;
  std::atomic<int> holders = 0;
  std::array<int, kThreads> shared{};
  run_threads([&](int rank, int) {
    const cpu::Ref<T, Order> ref(&cell);
    if (!take(ref)) return;
    shared[rank] += ++holders > 1;
    --holders;
    Sub::apply(ref, step);
  });
  report<T, Order>(op, sum(shared), 0);
  report<T, Order>(op, static_cast<int64_t>(cell), static_cast<int64_t>(free));
}

template <class T, class Order>
void all() {
  updates<Add, T, Order>(1);
  updates<Sub, T, Order>(-1);
  compare_exchanges<T, Order>();
  changes<Exchange, T, Order>();
  changes<Min, T, Order>();
  changes<Max, T, Order>();
  permits<T, Order>(AddBelow::kName, T{0}, T{40}, [](const auto& ref) {
    T old;
    return AddBelow::apply(ref, T{40}, T{60}, old);
  });
  if constexpr (std::is_integral_v<T>) {
    changes<And, T, Order>();
    changes<Or, T, Order>();
    changes<Xor, T, Order>();
    constexpr T kLast = std::numeric_limits<T>::max() - 1;
    permits<T, Order>(AddChecked::kName, kLast, T{1}, [](const auto& ref) {
      T old;
      return !AddChecked::apply(ref, T{1}, old);
    });
  }
}

template <class... Ts>
void all_types(TypeList<Ts...>) {
  (all<Ts, cpu::Single>(), ...);
  (all<Ts, cpu::Bulk>(), ...);
}

int main() {
  all_types(TypeList<uint8_t, uint16_t, uint32_t, uint64_t, int8_t, int16_t, int32_t, int64_t,
                     float, double>{});
  return exact ? 0 : 1;
}
