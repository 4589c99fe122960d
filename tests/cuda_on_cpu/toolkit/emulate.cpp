#include <ucontext.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <vector>

#include "cuda_runtime.h"

namespace {

constexpr size_t kStack = 64 * 1024;

struct Warp {
  ucontext_t scheduler;
  std::array<ucontext_t, warpSize> lanes;
  std::array<std::vector<char>, warpSize> stacks;
  std::array<bool, warpSize> runs{};
  std::array<uint64_t, warpSize> given{};
  struct Meeting {
    int arrived = 0;
    int generation = 0;
  };
  std::map<uint32_t, Meeting> meetings;  // by their lanes
  int current = 0;
  const std::function<void()>* body = nullptr;
};

thread_local Warp* warp = nullptr;

void lane_main() {
  (*warp->body)();
  warp->runs[static_cast<size_t>(warp->current)] = false;
}

void yield() {
  const auto mine = static_cast<size_t>(warp->current);
  swapcontext(&warp->lanes[mine], &warp->scheduler);
}

void meet(uint32_t mask) {
  auto& meeting = warp->meetings[mask];
  if (++meeting.arrived == __builtin_popcount(mask)) {
    meeting.arrived = 0;
    ++meeting.generation;
    return;
  }
  const int generation = meeting.generation;
  // A lane of the mask that has ended never comes: undefined on a GPU, an end here.
  for (int waits = 0; meeting.generation == generation; ++waits) {
    if (waits > 100'000) std::abort();
    yield();
  }
}

void run_warp(const std::function<void()>& body, unsigned first, unsigned count) {
  warp->body = &body;
  warp->meetings.clear();
  for (size_t k = 0; k < count; ++k) {
    warp->stacks[k].resize(kStack);
    getcontext(&warp->lanes[k]);
    warp->lanes[k].uc_stack.ss_sp = warp->stacks[k].data();
    warp->lanes[k].uc_stack.ss_size = kStack;
    warp->lanes[k].uc_link = &warp->scheduler;
    makecontext(&warp->lanes[k], lane_main, 0);
    warp->runs[k] = true;
  }
  for (bool any = true; any;) {
    any = false;
    for (size_t k = 0; k < count; ++k) {
      if (!warp->runs[k]) continue;
      any = true;
      warp->current = static_cast<int>(k);
      threadIdx.x = first + static_cast<unsigned>(k);
      swapcontext(&warp->scheduler, &warp->lanes[k]);
    }
  }
}

}  // namespace

Machine machine{.memory = cudaMemoryTypeDevice, .device_of_memory = -1};

const uint64_t* gather(uint32_t mask, uint64_t given) {
  warp->given[static_cast<size_t>(warp->current)] = given;
  meet(mask);
  return warp->given.data();
}

void release(uint32_t mask) { meet(mask); }

void emulate(dim3 grid, dim3 block, const std::function<void()>& body) {
  const auto own = std::make_unique<Warp>();
  warp = own.get();
  gridDim = grid;
  blockDim = block;
  for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x) {
    for (unsigned first = 0; first < block.x; first += warpSize) {
      run_warp(body, first, std::min(block.x - first, unsigned{warpSize}));
    }
  }
  warp = nullptr;
}
