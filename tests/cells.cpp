// The op structs on real C++ threads, in loops so tight that a lost update cannot hide behind the
// cost of a call. Prints a line per case; exits with 1 if a total is not exact.
#include <array>
#include <barrier>
#include <cstdint>
#include <iostream>
#include <numeric>
#include <thread>
#include <vector>

#include "../csrc/cpu/ref.h"
#include "../csrc/ops/table.h"

using namespace atomics;

constexpr int kThreads = 3;
constexpr int kUpdates = 300'000;  // three times this is exact in a float

template <class Work>
void run_threads(Work work) {
  std::barrier start(kThreads);
  std::vector<std::jthread> threads;
  for (int rank = 0; rank < kThreads; ++rank) {
    threads.emplace_back([&, rank] {
      start.arrive_and_wait();
      work(rank);
    });
  }
}

bool exact = true;

template <class T>
void report(const char* op, T total, T expected) {
  std::cout << op << ' ' << sizeof(T) << (std::is_integral_v<T> ? " int " : " float ") << total
            << " of " << expected << '\n';
  exact = exact && total == expected;
}

template <class Op, class T, class Order>
void updates(T sign) {
  alignas(64) T cell{};
  run_threads([&](int) {
    for (int i = 0; i < kUpdates; ++i) Op::apply(cpu::Ref<T, Order>(&cell), T{1});
  });
  report(Op::kFetch, cell, static_cast<T>(sign * kThreads * kUpdates));
}

// Tokens are put in and whatever is there is taken out: none is lost or taken twice.
template <class T, class Order>
void exchanges() {
  alignas(64) T cell{};
  std::array<T, kThreads> taken{};
  run_threads([&](int rank) {
    T sum{};
    for (int i = 0; i < kUpdates; ++i) sum += Exchange::apply(cpu::Ref<T, Order>(&cell), T{1});
    taken[rank] = sum;
  });
  report(Exchange::kFetch, std::accumulate(taken.begin(), taken.end(), cell),
         static_cast<T>(kThreads * kUpdates));
}

template <class T, class Order>
void compare_exchanges() {
  alignas(64) T cell{};
  run_threads([&](int) {
    const cpu::Ref<T, Order> ref(&cell);
    for (int i = 0; i < kUpdates; ++i) {
      T expected = Load::apply(ref);
      while (!CompareExchange::apply(ref, expected, static_cast<T>(expected + 1))) {
      }
    }
  });
  report(CompareExchange::kName, cell, static_cast<T>(kThreads * kUpdates));
}

template <class T, class Order>
void all() {
  updates<Add, T, Order>(1);
  updates<Sub, T, Order>(-1);
  exchanges<T, Order>();
  compare_exchanges<T, Order>();
}

template <class... Ts>
void all_types(TypeList<Ts...>) {
  (all<Ts, cpu::Single>(), ...);
  (all<Ts, cpu::Bulk>(), ...);
}

int main() {
  all_types(TypeList<int32_t, int64_t, float, double>{});
  return exact ? 0 : 1;
}
