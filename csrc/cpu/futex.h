// Sleeping on a 32-bit word and waking its sleepers, by the futex system call. No torch header
// here.
//
// All reads are the kernel's, so that memory that was unmapped meanwhile is an error and no crash.
// Without FUTEX_PRIVATE_FLAG: sleepers and wakers may be in different processes.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <ctime>

#include "../fail.h"

namespace atomics::cpu::futex {

// For an error that is no answer.
[[noreturn]] inline void fail_word(const char* op, int error) {
  if (error == EFAULT) fail(op, "target", "still have its memory", "an unmapped address");
  fail(op, "system", "have futexes", std::strerror(error));
}

// Sleeps while the word holds `value`, until woken, a signal or the end of `most`.
inline void sleep(const char* op, const uint32_t* word, uint32_t value,
                  std::chrono::nanoseconds most) {
  const timespec timeout{most.count() / 1'000'000'000, most.count() % 1'000'000'000};
  if (syscall(SYS_futex, word, FUTEX_WAIT, value, &timeout, nullptr, 0) == 0) return;
  if (errno != EAGAIN && errno != ETIMEDOUT && errno != EINTR) fail_word(op, errno);
}

// Whether the word holds `value` now: a requeue of no sleepers, which compares and does nothing.
inline bool holds(const char* op, const uint32_t* word, uint32_t value) {
  if (syscall(SYS_futex, word, FUTEX_CMP_REQUEUE, 0, 0L, word, value) == 0) return true;
  if (errno != EAGAIN) fail_word(op, errno);
  return false;
}

// Wakes up to `count` sleepers, at least 1, and returns how many.
inline int64_t wake(const char* op, const uint32_t* word, int count) {
  const int64_t woken = syscall(SYS_futex, word, FUTEX_WAKE, count, nullptr, nullptr, 0);
  if (woken < 0) fail_word(op, errno);
  return woken;
}

}  // namespace atomics::cpu::futex
