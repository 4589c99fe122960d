// Holds many mutexes of one or several banks at once: one point in time. No torch header here.
#pragma once

#include <vector>

#include "stripes.h"

namespace atomics::mutex {

class HoldAll {
 public:
  explicit HoldAll(const char* op) : op_(op) {}
  ~HoldAll();
  HoldAll(const HoldAll&) = delete;
  HoldAll& operator=(const HoldAll&) = delete;

  // The mutexes of the bytes [begin, end) of a storage whose byte 0 has the mutex `first`.
  void cover(Stripes& stripes, int64_t first, int64_t begin, int64_t end);

  // Locks all that is covered, in the one order that everybody keeps: by device, inode and offset,
  // which are the same in all processes. Raises, holding none, if they are too many for the kernel
  // to recover.
  void lock();

 private:
  struct Covered {
    Backing backing;  // of the slot
    Stripes* stripes;
    int64_t i;
  };

  const char* op_;
  std::vector<Covered> covered_;
  size_t held_ = 0;  // so many of them, from the first on
};

}  // namespace atomics::mutex
