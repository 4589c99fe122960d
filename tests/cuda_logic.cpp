// What csrc/cuda calculates by itself, run on the CPU: where elements are, how neighbours are cut
// into words, what the lanes of a warp add up. Prints a line per check, exits with 1 if one fails.
#include <array>
#include <barrier>
#include <cstdint>
#include <functional>
#include <iostream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "../csrc/cuda/walk.h"
#include "../csrc/cuda/warp.h"

using namespace atomics;
using namespace atomics::cuda;

namespace {

bool failed = false;

void check(const std::string& what, bool holds) {
  std::cout << (holds ? "ok   " : "FAIL ") << what << '\n';
  failed = failed || !holds;
}

std::mt19937_64 draws(7);

int64_t draw(int64_t most) { return static_cast<int64_t>(draws() % static_cast<uint64_t>(most)); }

// A walk finds what for_each_run, the walk of the CPU, visits.
bool walk_is_that_of_the_cpu() {
  for (int round = 0; round < 3000; ++round) {
    const int64_t dim = draw(5);
    std::vector<int64_t> sizes(static_cast<size_t>(dim));
    std::array<std::vector<int64_t>, 3> strides;
    int64_t numel = 1;
    for (auto& size : sizes) numel *= size = 1 + draw(4);
    for (auto& of_one : strides) {
      int64_t step = 1;
      for (int64_t d = dim; d-- > 0;) {
        of_one.insert(of_one.begin(), draw(4) == 0 ? 0 : step * (1 + draw(2)));
        step *= sizes[static_cast<size_t>(d)] * 2;
      }
    }
    // Addresses are only calculated with.
    std::array<char, 1> memory;
    std::array<Operand, 3> operands;
    for (size_t k = 0; k < 3; ++k) {
      operands[k] = {memory.data(), int64_t{1} << k, dim, sizes.data(), strides[k].data()};
    }
    std::vector<std::array<char*, 3>> expected;
    for_each_run(operands, [&](auto at, auto step, int64_t n) {
      for (int64_t i = 0; i < n; ++i) {
        expected.push_back(at);
        for (size_t k = 0; k < 3; ++k) at[k] += step[k];
      }
    });
    const Walk<3> walk(operands);
    if (static_cast<int64_t>(expected.size()) != numel) return false;
    for (int64_t i = 0; i < numel; ++i) {
      char* at[3];
      walk.find(i, at);
      for (size_t k = 0; k < 3; ++k) {
        if (at[k] != expected[static_cast<size_t>(i)][k]) return false;
      }
    }
  }
  return true;
}

bool large_numbers_are_divided() {
  for (const int64_t a : {0L, 1L, 4294967295L, 4294967296L, 9223372036854775807L}) {
    for (const int64_t b : {1L, 3L, 4294967295L, 4294967297L, 9223372036854775807L}) {
      if (quotient(a, b) != a / b) return false;
    }
  }
  return true;
}

bool words_cover_all_and_no_more() {
  for (const int64_t itemsize : {1, 2, 4, 8}) {
    for (uintptr_t address = 4096; address < 4112; address += static_cast<uintptr_t>(itemsize)) {
      for (int64_t n = 1; n < 40; ++n) {
        const Words words(address, itemsize, n, 16);
        const int64_t of_word = 16 / itemsize;
        const auto first = address + static_cast<uintptr_t>(words.before * itemsize);
        const bool covers = words.before + words.count * of_word + words.after == n;
        const bool aligned = words.count == 0 || first % 16 == 0;
        const bool most = words.after < of_word && (words.before < of_word);
        if (!covers || !aligned || !most || words.before < 0 || words.after < 0) return false;
      }
    }
  }
  return true;
}

// Lanes in step: each is a thread.
class ThreadWarp {
 public:
  static constexpr int kLanes = 32;

  struct Shared {
    std::array<std::barrier<>*, kLanes> barriers{};  // of each lane's group
    std::array<int64_t, kLanes> values{};
  };

  ThreadWarp(Shared& shared, int lane) : shared_(shared), lane_(lane) {}

  int lane() const { return lane_; }
  int lowest(uint32_t lanes) const { return __builtin_ctz(lanes); }

  template <class T>
  T shuffle(uint32_t, T value, int from) const {
    auto& barrier = *shared_.barriers[static_cast<size_t>(lane_)];
    shared_.values[static_cast<size_t>(lane_)] = static_cast<int64_t>(value);
    barrier.arrive_and_wait();
    const auto got = static_cast<T>(shared_.values[static_cast<size_t>(from)]);
    barrier.arrive_and_wait();
    return got;
  }

 private:
  Shared& shared_;
  int lane_;
};

bool group_adds_once_what_its_lanes_add() {
  for (int round = 0; round < 50; ++round) {
    constexpr int kLanes = ThreadWarp::kLanes;
    const int64_t rows = round % 5 == 0 ? 1 : 1 + draw(round % 2 == 0 ? 4 : 40);
    std::array<int64_t, kLanes> row;
    std::array<int64_t, kLanes> value;
    std::array<uint32_t, kLanes> peers{};
    std::array<bool, kLanes> named;  // a lane whose index does not fit is not there
    for (size_t k = 0; k < kLanes; ++k) {
      row[k] = draw(rows);
      value[k] = draw(1000) - 500;
      named[k] = round % 3 == 0 || draw(8) != 0;
    }
    for (size_t k = 0; k < kLanes; ++k) {
      for (size_t other = 0; other < kLanes; ++other) {
        if (named[other] && row[other] == row[k]) peers[k] |= 1u << other;
      }
    }
    ThreadWarp::Shared shared;
    std::array<std::unique_ptr<std::barrier<>>, kLanes> barriers;
    for (size_t k = 0; k < kLanes; ++k) {
      if (!named[k]) continue;
      const auto lowest = static_cast<size_t>(__builtin_ctz(peers[k]));
      if (lowest == k) {
        barriers[k] = std::make_unique<std::barrier<>>(__builtin_popcount(peers[k]));
      }
      shared.barriers[k] = barriers[lowest].get();
    }
    std::array<GroupSum<int64_t>, kLanes> sums{};
    std::vector<std::jthread> lanes;
    for (size_t k = 0; k < kLanes; ++k) {
      if (!named[k]) continue;
      lanes.emplace_back([&, k] {
        sums[k] = sum_of_group(ThreadWarp(shared, static_cast<int>(k)), peers[k], value[k]);
      });
    }
    lanes.clear();
    for (size_t k = 0; k < kLanes; ++k) {
      if (!named[k]) continue;
      int64_t before = 0;
      int64_t total = 0;
      bool leads = true;
      for (size_t other = 0; other < kLanes; ++other) {
        if (!named[other] || row[other] != row[k]) continue;
        total += value[other];
        if (other < k) {
          before += value[other];
          leads = false;
        }
      }
      if (sums[k].before != before || sums[k].total != total || sums[k].leads != leads) {
        return false;
      }
    }
  }
  return true;
}

}  // namespace

int main() {
  check("walk", walk_is_that_of_the_cpu());
  check("quotient", large_numbers_are_divided());
  check("words", words_cover_all_and_no_more());
  check("warp", group_adds_once_what_its_lanes_add());
  return failed ? 1 : 0;
}
