#include "grid.h"

#include <algorithm>

namespace ptx {

namespace {

constexpr int64_t kMostSteps = 1'000'000'000;  // of a kernel that ends

bool lies_in(const void* at, size_t size, const std::byte* begin, size_t bytes) {
  const auto offset = reinterpret_cast<uintptr_t>(at) - reinterpret_cast<uintptr_t>(begin);
  return offset < bytes && size <= bytes - offset;
}

}  // namespace

Grid::Grid(const Kernel& kernel, unsigned blocks, unsigned threads, void** args,
           std::mt19937_64* random)
    : kernel_(kernel), random_(random) {
  if (threads % kLanes != 0) throw Error("a block is not of whole warps");
  ++kernel.count;
  for (const Param& param : kernel.params) param_bytes_ = param.offset + param.size;
  params_ = std::make_unique<std::byte[]>(param_bytes_);
  for (size_t k = 0; k < kernel.params.size(); ++k) {
    std::memcpy(&params_[kernel.params[k].offset], args[k], kernel.params[k].size);
  }
  threads_.resize(size_t{blocks} * threads);
  for (size_t k = 0; k < threads_.size(); ++k) {
    Thread& thread = threads_[k];
    thread.grid = this;
    thread.number = static_cast<unsigned>(k);
    thread.registers = std::make_unique<uint64_t[]>(kernel.registers);
    thread.locals = std::make_unique<std::byte[]>(kernel.local_bytes);
    thread.registers[kTid] = k % threads;
    thread.registers[kCtaid] = k / threads;
    thread.registers[kNtid] = threads;
    thread.registers[kNctaid] = blocks;
    thread.registers[kParams] = reinterpret_cast<uint64_t>(params_.get());
    thread.registers[kLocals] = reinterpret_cast<uint64_t>(thread.locals.get());
    ready_.push_back(&thread);
  }
}

bool Grid::turn() {
  if (ready_.empty()) {
    check_ended();
    return false;
  }
  const size_t at = whose_turn();
  Thread& thread = *ready_[at];
  std::swap(ready_[at], ready_.back());
  ready_.pop_back();
  run_until_visible(thread);
  if (thread.next < kernel_.code.size() && thread.waits == nullptr) ready_.push_back(&thread);
  return true;
}

void Grid::check_ended() const {
  for (const Thread& thread : threads_) {
    if (thread.waits != nullptr) throw Error("lanes never come: " + thread.waits->text);
  }
}

void run(const std::vector<std::unique_ptr<Grid>>& grids, std::mt19937_64* random) {
  std::vector<Grid*> left;
  for (const auto& grid : grids) left.push_back(grid.get());
  while (!left.empty()) {
    const auto at = static_cast<ptrdiff_t>(random == nullptr ? 0 : (*random)() % left.size());
    if (!left[static_cast<size_t>(at)]->turn()) left.erase(left.begin() + at);
  }
}

size_t Grid::whose_turn() {
  if (random_ != nullptr) return draw() % ready_.size();
  const auto first = std::min_element(ready_.begin(), ready_.end());  // they lie in order
  return static_cast<size_t>(first - ready_.begin());
}

void Grid::run_until_visible(Thread& thread) {
  const auto& code = kernel_.code;
  do {
    const Instruction& instruction = code[thread.next++];
    if (instruction.guard != kZero &&
        get<bool>(thread, {instruction.guard}) != instruction.guarded_by) {
      continue;
    }
    ++instruction.count;
    if (++steps_ > kMostSteps) throw Error("does not end: " + instruction.text);
    if (instruction.manner.scope >= 0) ++touched[static_cast<size_t>(instruction.manner.scope)];
    try {
      instruction.manner.step(thread, instruction);
    } catch (const Error& error) {
      throw Error(error.what() + (": " + instruction.text));
    }
  } while (thread.next < code.size() && thread.waits == nullptr &&
           !code[thread.next].manner.visible);
}

void Grid::check_param(const void* at, size_t size) const {
  if (!lies_in(at, size, params_.get(), param_bytes_)) throw Error("outside of the parameters");
}

void Grid::check_local(const Thread& thread, const void* at, size_t size) const {
  if (!lies_in(at, size, thread.locals.get(), kernel_.local_bytes)) {
    throw Error("outside of the local memory");
  }
}

}  // namespace ptx
