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
  std::cout << op << ' ' << sizeof(T) << (std::is_integral_v<T> ? " int " : " float ") << +total
            << " of " << +expected << '\n';
  exact = exact && total == expected;
}

// Narrow integers wrap, in the total as in the cell.
template <class Op, class T, class Order>
void updates(int64_t sign) {
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
  report(Exchange::kFetch, static_cast<T>(std::accumulate(taken.begin(), taken.end(), cell)),
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

// Each thread raises the cell to numbers of its own: a fetched value that a later one of the same
// thread is below was lost, and so is a largest number that is not there in the end.
template <class Op, class T, class Order>
void extremes(T sign) {
  alignas(64) T cell{};
  std::array<int, kThreads> lost{};
  constexpr int kMost = 30'000;  // fits every type but one of 8 bits
  run_threads([&](int rank) {
    const cpu::Ref<T, Order> ref(&cell);
    for (int i = 0; i < kMost; ++i) {
      const auto mine = static_cast<T>(sign * static_cast<T>(i));
      Op::apply(ref, mine);
      const T now = Load::apply(ref);
      lost[rank] += Op::combine(now, mine) != now;
    }
  });
  report(Op::kFetch, static_cast<T>(std::accumulate(lost.begin(), lost.end(), 0)), T{0});
  report(Op::kFetch, cell, static_cast<T>(sign * static_cast<T>(kMost - 1)));
}

// Each thread flips a bit of its own: it must find it as it left it.
template <class T, class Order>
void bits() {
  alignas(64) T cell{};
  std::array<int, kThreads> lost{};
  run_threads([&](int rank) {
    const cpu::Ref<T, Order> ref(&cell);
    const auto mine = static_cast<T>(1 << rank);
    for (int i = 0; i < kUpdates; ++i) {
      lost[rank] += (Or::apply(ref, mine) & mine) != 0;
      lost[rank] += (And::apply(ref, static_cast<T>(~mine)) & mine) == 0;
      lost[rank] += (Xor::apply(ref, mine) & mine) != 0;
      lost[rank] += (Xor::apply(ref, mine) & mine) == 0;
    }
  });
  report(Xor::kFetch, std::accumulate(lost.begin(), lost.end(), 0), 0);
}

// Permits up to a limit: as many are taken as there are, by those who succeeded.
template <class T, class Order>
void permits() {
  alignas(64) T cell{};
  std::array<int, kThreads> taken{};
  constexpr T kLimit = 100;
  run_threads([&](int rank) {
    const cpu::Ref<T, Order> ref(&cell);
    T old{};
    for (int i = 0; i < kUpdates; ++i) {
      // Given back at once while the others try.
      const bool got = AddBelow::apply(ref, T{40}, kLimit, old);
      taken[rank] += old > kLimit;
      if (got) Sub::apply(ref, T{40});
    }
  });
  report(AddBelow::kName, static_cast<T>(std::accumulate(taken.begin(), taken.end(), 0)), T{0});
  report(AddBelow::kName, cell, T{0});
}

template <class T, class Order>
void checked() {
  alignas(64) T cell{};
  std::array<int64_t, kThreads> added{};
  run_threads([&](int rank) {
    const cpu::Ref<T, Order> ref(&cell);
    T old{};
    for (int i = 0; i < kUpdates; ++i) added[rank] += !AddChecked::apply(ref, T{1}, old);
  });
  report(AddChecked::kName, std::accumulate(added.begin(), added.end(), int64_t{0}),
         static_cast<int64_t>(cell));
}

template <class T, class Order>
void all() {
  updates<Add, T, Order>(1);
  updates<Sub, T, Order>(-1);
  exchanges<T, Order>();
  compare_exchanges<T, Order>();
  permits<T, Order>();
  if constexpr (std::is_integral_v<T>) {
    bits<T, Order>();
    checked<T, Order>();
  }
  if constexpr (sizeof(T) > 1) {
    extremes<Max, T, Order>(1);
    if constexpr (std::is_signed_v<T>) extremes<Min, T, Order>(-1);
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
