// A bank of mutexes over the stripes of a storage, for the length of one op. No torch header here.
//
// A stripe is 16 KiB: shorter ones pay more for locks, longer ones gain nothing. Who holds one
// changes it with plain stores. A death leaves each element changed or not, so the next locker goes
// on and counts it; a step over several tensors marks itself, and is counted as torn.
#pragma once

#include <cstdint>

#include "bank.h"

namespace atomics::mutex {

constexpr int64_t kStripeBytes = 16384;

// Which mutex of a bank a byte has.
class Numbering {
 public:
  explicit Numbering(int64_t count)
      : count_(static_cast<uint64_t>(count)), is_power_of_two_((count_ & (count_ - 1)) == 0) {}

  int64_t count() const { return static_cast<int64_t>(count_); }

  // Of a byte of a storage whose byte 0 has the mutex `first`.
  int64_t mutex_of(int64_t first, int64_t byte) const {
    const auto k = static_cast<uint64_t>(first) + static_cast<uint64_t>(byte) / kStripeBytes;
    // A division would be most of the cost of counting a word.
    return static_cast<int64_t>(is_power_of_two_ ? k & (count_ - 1) : k < count_ ? k : k % count_);
  }

 private:
  uint64_t count_;
  bool is_power_of_two_;
};

class Stripes {
 public:
  // `slots` are those in the caller's tensor. Refuses what the mutex ops refuse, and a bank of
  // which the calling thread holds a mutex already.
  Stripes(const char* op, const Slot* slots, int64_t count);

  int64_t count() const { return numbering_.count(); }
  Numbering numbering() const { return numbering_; }
  int64_t mutex_of(int64_t first, int64_t byte) const { return numbering_.mutex_of(first, byte); }

  // Locks and unlocks one mutex, to find out now whether the bank can be locked, and whether it is
  // the caller's. After it, several threads may lock.
  void verify(int64_t i);

  // Looks, without a lock, at those of the bytes [begin, end) of a storage whose byte 0 has the
  // mutex `first`. After verify.
  void check_none_lost(int64_t first, int64_t begin, int64_t end) const;

  // Waits as long as it takes. A thread that holds one mutex may wait for a later one only.
  void lock(int64_t i);
  void unlock(int64_t i) { unlock(slot(i)); }

  // Around a step that changes several tensors together.
  void begin_step(int64_t i);
  void end_step(int64_t i);

  // The memory of a mutex, by which those of several banks are ordered.
  Backing backing_of(int64_t i) const;

 private:
  Slot& slot(int64_t i) const { return (&pin_.slot())[i]; }
  void acquire(int64_t i, bool& waited);
  [[noreturn]] void fail_lost(int64_t i) const;
  static void unlock(Slot& slot);

  const char* op_;
  const Slot* caller_;
  Numbering numbering_;
  bool verified_ = false;
  Pin pin_;
};

// Holds one mutex at a time, and goes from one to the next.
class StripeHold {
 public:
  explicit StripeHold(Stripes& stripes) : stripes_(stripes) {}
  ~StripeHold() { release(); }
  StripeHold(const StripeHold&) = delete;
  StripeHold& operator=(const StripeHold&) = delete;

  void go_to(int64_t i) {
    if (i == held_) return;
    release();
    stripes_.lock(i);
    held_ = i;
  }
  void release() {
    if (held_ != kNone) stripes_.unlock(held_);
    held_ = kNone;
  }

 private:
  static constexpr int64_t kNone = -1;

  Stripes& stripes_;
  int64_t held_ = kNone;
};

// Where the calling thread begins among `count` stripes: threads that begin at different ones
// seldom wait for each other.
int64_t start_of_thread(int64_t count);

}  // namespace atomics::mutex
