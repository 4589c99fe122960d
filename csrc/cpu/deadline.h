// How long a blocking op waits: a bound on the whole, in slices. No torch header here.
#pragma once

#include <algorithm>
#include <chrono>

#include "../fail.h"

namespace atomics::cpu {

class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  // In seconds from now; a negative timeout is for ever.
  Deadline(const char* op, double timeout) : forever_(timeout < 0) {
    if (timeout != timeout) fail(op, "timeout", "be a number of seconds", "nan");
    // Longer than any run, and short enough not to overflow the clock.
    const std::chrono::duration<double> bounded(std::clamp(timeout, 0.0, 1e9));
    end_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(bounded);
  }

  bool passed() const { return !forever_ && Clock::now() >= end_; }

  // How long one wait in the kernel may last: then the memory is looked at again, which may have
  // gone, or have been written by somebody who wakes nobody.
  std::chrono::nanoseconds slice() const {
    constexpr Clock::duration kMost = std::chrono::milliseconds(50);
    return forever_ ? kMost : std::clamp(end_ - Clock::now(), Clock::duration(0), kMost);
  }

 private:
  bool forever_;
  Clock::time_point end_;
};

}  // namespace atomics::cpu
