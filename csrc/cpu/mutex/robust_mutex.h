// Locking a slot: robust, process-shared, error-checking pthread mutexes. No torch header here.
//
// | lock word              | header.owner_died | state                                        |
// | 0                      | 0                 | unlocked                                     |
// | thread id              | 0                 | held                                         |
// | owner-died bit         | 0                 | its owner died; the next locker is told      |
// | 0                      | 1                 | the same, met by a locker that could not say |
// | thread id              | -                 | held; its holder was told, or not concerned  |
// | glibc's inconsistent   | -                 | told, and unlocked unrepaired: lost for ever |
#pragma once

#include "slot.h"

namespace atomics::mutex {

// What the lock ops return. The caller holds the mutex unless it is 0.
enum Acquired : int64_t { kNotAcquired = 0, kAcquired = 1, kAcquiredOwnerDied = 2 };

// All of these take the slot in the caller's tensor. A negative timeout waits for ever.
Acquired lock(const char* op, const Slot* slot, double timeout);
Acquired try_lock(const char* op, const Slot* slot);
void unlock(const char* op, const Slot* slot);
void consistent(const char* op, const Slot* slot);
int64_t owner(const char* op, const Slot* slot);  // thread id, 0 if unlocked

// Holds a mutex for the length of one op whose update is a single store: a dead owner has either
// made it or not, so the op goes on, and leaves the news to the next caller of `lock`.
class OpLock {
 public:
  OpLock(const char* op, const Slot* slot);
  ~OpLock();
  OpLock(const OpLock&) = delete;
  OpLock& operator=(const OpLock&) = delete;
};

}  // namespace atomics::mutex
