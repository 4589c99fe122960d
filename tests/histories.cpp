// Short random histories of one cell under real threads: a line for each, to be judged by
// linearizability.py. Arguments: the seed, the number of histories for each dtype and, as a check
// of the judge, "broken", which makes fetch_add a load and a store.
//
// A line: the dtype, what the cell held at first and at last, then for each call when it was
// entered and left, its name, two operands, the old value and the bool; what there is none of is
// "-".
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstring>
#include <iostream>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "../csrc/cpu/ref.h"
#include "../csrc/ops/table.h"

using namespace atomics;

constexpr int kThreads = 3;
constexpr int kCalls = 4;

// Has what the cells ask of torch's: a conversion to and from float, rounding to nearest even.
struct BFloat16 {
  BFloat16() = default;
  explicit BFloat16(float value) {
    const auto wide = std::bit_cast<uint32_t>(value);
    bits = static_cast<uint16_t>((wide + 0x7FFF + (wide >> 16 & 1)) >> 16);
  }
  operator float() const { return std::bit_cast<float>(uint32_t{bits} << 16); }
  uint16_t bits;
};

template <class T>
struct Method;

template <class T>
struct Call {
  const Method<T>* method;
  T first, second, old;
  bool flag;
  int64_t start, end;
};

template <class T>
struct Method {
  const char* name;
  int operands;
  bool has_old;
  bool has_flag;
  void (*run)(T& memory, Call<T>& call);
};

template <class Op, class T>
constexpr bool is_defined() {
  using Dtypes = typename Op::Dtypes;
  constexpr bool number = !std::is_same_v<T, bool>;
  return std::is_same_v<Dtypes, EveryDtype> || (std::is_same_v<Dtypes, NumberDtypes> && number) ||
         (std::is_same_v<Dtypes, BitDtypes> && std::is_integral_v<T>) ||
         (std::is_same_v<Dtypes, IntegerDtypes> && std::is_integral_v<T> && number);
}

template <class Op, class T>
using CellOf = typename Op::template Cell<T>;

// As the kernels do, cells of another type on the same bytes.
template <class Op, class T>
cpu::Ref<CellOf<Op, T>, cpu::Single> cell(T& memory) {
  return cpu::Ref<CellOf<Op, T>, cpu::Single>(reinterpret_cast<CellOf<Op, T>*>(&memory));
}

template <class Op, class T>
CellOf<Op, T> to_cell(T value) {
  return std::bit_cast<CellOf<Op, T>>(value);
}

bool broken = false;

template <class T>
std::vector<Method<T>> methods() {
  std::vector<Method<T>> all{{Load::kName, 0, true, false,
                              [](T& memory, Call<T>& call) {
                                call.old = std::bit_cast<T>(Load::apply(cell<Load>(memory)));
                              }},
                             {Store::kName, 1, false, false,
                              [](T& memory, Call<T>& call) {
                                Store::apply(cell<Store>(memory), to_cell<Store>(call.first));
                              }},
                             {CompareExchange::kName, 2, true, true, [](T& memory, Call<T>& call) {
                                auto held = to_cell<CompareExchange>(call.first);
                                call.flag =
                                    CompareExchange::apply(cell<CompareExchange>(memory), held,
                                                           to_cell<CompareExchange>(call.second));
                                call.old = std::bit_cast<T>(held);
                              }}};
  const auto add_fetch = [&]<class Op>(Op) {
    if constexpr (is_defined<Op, T>()) {
      all.push_back({Op::kFetch, 1, true, false, [](T& memory, Call<T>& call) {
                       call.old =
                           std::bit_cast<T>(Op::apply(cell<Op>(memory), to_cell<Op>(call.first)));
                     }});
    }
  };
  [&]<class... Ops>(TypeList<Ops...>) { (add_fetch(Ops{}), ...); }(FetchOps{});
  if constexpr (is_defined<AddBelow, T>()) {
    all.push_back({AddBelow::kName, 2, true, true, [](T& memory, Call<T>& call) {
                     call.flag =
                         AddBelow::apply(cell<AddBelow>(memory), call.first, call.second, call.old);
                   }});
  }
  if constexpr (is_defined<AddChecked, T>()) {
    all.push_back({AddChecked::kName, 1, true, true, [](T& memory, Call<T>& call) {
                     call.flag = AddChecked::apply(cell<AddChecked>(memory), call.first, call.old);
                   }});
  }
  if (broken) {
    for (Method<T>& method : all) {
      if (std::strcmp(method.name, "fetch_add") != 0) continue;
      method.run = [](T& memory, Call<T>& call) {
        const auto ref = cell<Load>(memory);
        call.old = std::bit_cast<T>(Load::apply(ref));
        Store::apply(ref, to_cell<Store>(static_cast<T>(call.old + call.first)));
      };
    }
  }
  return all;
}

// Small values, which meet, and for integers the ends of the range, which wrap.
template <class T>
T random_value(std::mt19937_64& random) {
  using Limits = std::numeric_limits<T>;
  const auto drawn = static_cast<int>(random() % 16);
  if constexpr (std::is_integral_v<T>) {
    if (drawn == 15) return Limits::max();
    if (drawn == 14) return Limits::min();
    return static_cast<T>(drawn % 4);
  } else {
    return static_cast<T>(static_cast<float>(drawn % 5) - 1);
  }
}

// Threads that meet before and after each history. Waiting spins, so that they start close
// together, and yields, in case there are fewer cores.
class Meeting {
 public:
  void meet() {
    const int meeting = meetings_.load();
    if (arrived_.fetch_add(1) + 1 == kThreads) {
      arrived_.store(0);
      meetings_.store(meeting + 1);
    }
    for (int spins = 0; meetings_.load() == meeting; ++spins) {
      if (spins > 20'000) std::this_thread::yield();
    }
  }

 private:
  std::atomic<int> arrived_ = 0;
  std::atomic<int> meetings_ = 0;
};

int64_t now() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

// Without it a load may be done before the clock that was read before it.
void keep_after_the_clock() {
#ifdef __x86_64__
  asm volatile("lfence" ::: "memory");
#else
  asm volatile("isb" ::: "memory");
#endif
}

// The clocks of two cores differ by less, in nanoseconds.
constexpr int64_t kSkew = 20;

template <class T>
std::string shown(T value) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));  // little endian, as the reader has it
  return std::to_string(bits);
}

template <class T>
void print(const char* dtype, T initial, T final, const std::vector<Call<T>>& calls) {
  std::cout << dtype << ' ' << shown(initial) << ' ' << shown(final);
  for (const Call<T>& call : calls) {
    const Method<T>& method = *call.method;
    std::cout << ' ' << call.start << ' ' << call.end << ' ' << method.name << ' '
              << (method.operands > 0 ? shown(call.first) : "-") << ' '
              << (method.operands > 1 ? shown(call.second) : "-") << ' '
              << (method.has_old ? shown(call.old) : "-") << ' '
              << (method.has_flag ? shown(call.flag) : "-");
  }
  std::cout << '\n';
}

template <class T>
void histories(const char* dtype, uint64_t seed, int count) {
  std::mt19937_64 random(seed);
  const auto all = methods<T>();
  struct alignas(64) {
    T value;
  } memory;
  std::vector<Call<T>> calls(kThreads * kCalls);
  Meeting meeting;
  T initial;

  const auto work = [&](int rank) {
    for (int history = 0; history < count; ++history) {
      if (rank == 0) {
        for (Call<T>& call : calls) {
          call = {&all[random() % all.size()],
                  random_value<T>(random),
                  random_value<T>(random),
                  T{},
                  false,
                  0,
                  0};
        }
        initial = random_value<T>(random);
        memory.value = initial;
      }
      meeting.meet();
      for (int i = 0; i < kCalls; ++i) {
        Call<T>& call = calls[rank * kCalls + i];
        call.start = now() - kSkew;
        keep_after_the_clock();
        call.method->run(memory.value, call);
        call.end = now();
      }
      meeting.meet();
      if (rank == 0) print(dtype, initial, memory.value, calls);
    }
  };
  std::vector<std::jthread> others;
  for (int rank = 1; rank < kThreads; ++rank) others.emplace_back(work, rank);
  work(0);
}

int main(int, char** arguments) {
  const uint64_t seed = std::stoull(arguments[1]);
  const int count = std::stoi(arguments[2]);
  broken = arguments[3] != nullptr && std::strcmp(arguments[3], "broken") == 0;
  histories<int32_t>("int32", seed, count);
  histories<int64_t>("int64", seed, count);
  histories<float>("float32", seed, count);
  histories<double>("float64", seed, count);
  histories<BFloat16>("bfloat16", seed, count);
  histories<uint8_t>("uint8", seed, count);
  histories<int8_t>("int8", seed, count);
  histories<int16_t>("int16", seed, count);
  histories<bool>("bool", seed, count);
}
