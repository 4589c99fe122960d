// Runs a kernel. Threads take turns at random before each instruction that another one can see, so
// that those of all blocks meet in every way that whole instructions can.
#pragma once

#include <array>
#include <cstring>
#include <memory>
#include <random>

#include "program.h"

namespace ptx {

constexpr unsigned kLanes = 32;

class Grid;

struct Thread {
  Grid* grid;
  unsigned number;  // in the grid
  std::unique_ptr<uint64_t[]> registers;
  std::unique_ptr<std::byte[]> locals;
  size_t next = 0;
  // Where it waits for other lanes, and which.
  const Instruction* waits = nullptr;
  uint32_t lanes = 0;
  // Of an instruction that others may come between: how much is done, and in which order.
  unsigned done = 0;
  unsigned order = 0;
};

class Grid {
 public:
  // `args`: the addresses of the parameters. Without `random` each thread runs until it ends or
  // waits for others, the first one first.
  Grid(const Kernel& kernel, unsigned blocks, unsigned threads, void** args,
       std::mt19937_64* random);

  // One thread runs to its next instruction that others can see. False if none was left.
  bool turn();

  Thread& lane(const Thread& of, unsigned number) {
    return threads_[of.number / kLanes * kLanes + number];
  }
  void wake(Thread& thread) { ready_.push_back(&thread); }
  void check_param(const void* at, size_t size) const;
  void check_local(const Thread& thread, const void* at, size_t size) const;
  uint64_t draw() { return random_ == nullptr ? 0 : (*random_)(); }

  std::array<int64_t, 2> touched{};  // how often memory was, by scope

 private:
  size_t whose_turn();
  void check_ended() const;
  void run_until_visible(Thread& thread);

  const Kernel& kernel_;
  std::mt19937_64* random_;
  std::unique_ptr<std::byte[]> params_;
  size_t param_bytes_ = 0;
  std::vector<Thread> threads_;
  std::vector<Thread*> ready_;
  int64_t steps_ = 0;
};

// Runs them to their ends, at once: kernels of different streams.
void run(const std::vector<std::unique_ptr<Grid>>& grids, std::mt19937_64* random);

// The low bits of an operand.
template <class T>
T get(const Thread& thread, const Operand& operand) {
  const uint64_t bits = thread.registers[operand.reg] + operand.number;
  T value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}
template <>
inline bool get<bool>(const Thread& thread, const Operand& operand) {
  return ((thread.registers[operand.reg] + operand.number) & 1) != 0;
}

// Extended as its type says.
template <class T>
void set(Thread& thread, const Operand& operand, T value) {
  uint64_t bits = 0;
  if constexpr (std::is_integral_v<T>) {
    bits = static_cast<uint64_t>(value);
  } else {
    std::memcpy(&bits, &value, sizeof(value));
  }
  thread.registers[operand.reg] = bits;
}

}  // namespace ptx
