#include "parallel.h"

#include <pthread.h>

#include <atomic>

namespace atomics::cpu {

namespace {

std::atomic<bool> forked{false};

// When the library is loaded, so that no fork is missed.
const int registered =
    pthread_atfork(nullptr, nullptr, [] { forked.store(true, std::memory_order_relaxed); });

}  // namespace

bool in_forked_child() {
  // Registered, or out of memory at load time: then nobody can tell.
  return registered != 0 || forked.load(std::memory_order_relaxed);
}

}  // namespace atomics::cpu
