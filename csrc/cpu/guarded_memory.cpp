#include "guarded_memory.h"

#include <pthread.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>

namespace atomics::cpu {

namespace {

struct Memory {
  size_t bytes;
  size_t owners;
};

struct Guarded {
  std::mutex mutex;
  std::map<uintptr_t, Memory> by_address;  // as numbers: pointers into arrays of others
  std::atomic<size_t> count = 0;
};

// Never destroyed: Python may end after static objects.
Guarded& guarded() {
  static Guarded& the = *std::make_unique<Guarded>().release();
  return the;
}

void lock() { guarded().mutex.lock(); }
void unlock() { guarded().mutex.unlock(); }

[[maybe_unused]] const int forks = pthread_atfork(lock, unlock, unlock);

}  // namespace

bool any_memory_is_guarded() { return guarded().count.load(std::memory_order_relaxed) > 0; }

void check_unguarded(const char* op, const Tensor& target) {
  const View view("target", target);
  if (view.numel == 0) return;
  const auto begin = reinterpret_cast<uintptr_t>(view.data);
  const uintptr_t end = begin + (last_offset(view) + 1) * view.itemsize;
  Guarded& all = guarded();
  const std::lock_guard<std::mutex> lock(all.mutex);
  for (const auto& [address, memory] : all.by_address) {
    if (begin < address + memory.bytes && address < end) {
      fail(op, "target", "be left to the guarded ops (CAFFE2OP_ATOMICS_CHECK is set)",
           "memory of a GuardedTensor or an optimizer");
    }
  }
}

}  // namespace atomics::cpu

void atomics_guard_memory(const void* begin, size_t bytes) {
  auto& all = atomics::cpu::guarded();
  const std::lock_guard<std::mutex> lock(all.mutex);
  auto& memory = all.by_address[reinterpret_cast<uintptr_t>(begin)];
  memory.bytes = bytes;
  ++memory.owners;
  all.count = all.by_address.size();
}

void atomics_unguard_memory(const void* begin) {
  auto& all = atomics::cpu::guarded();
  const std::lock_guard<std::mutex> lock(all.mutex);
  const auto found = all.by_address.find(reinterpret_cast<uintptr_t>(begin));
  if (found != all.by_address.end() && --found->second.owners == 0) all.by_address.erase(found);
  all.count = all.by_address.size();
}
