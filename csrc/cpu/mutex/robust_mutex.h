// Locking a slot: robust, process-shared, error-checking pthread mutexes. No torch header here.
//
// | lock word      | header.news | state                                                |
// | 0              | none        | unlocked                                             |
// | thread id      | none        | held                                                 |
// | owner-died bit | none        | its owner died; the next locker is told              |
// | 0              | owner died  | the same, met by a locker that could not say         |
// | any            | lost        | an owner died, the next one unlocked without repair: |
// |                |             | every locker is refused                              |
//
// "Lost" is what POSIX calls not recoverable. It is ours and not glibc's, whose trylock wedges such
// a mutex: it returns ENOTRECOVERABLE and leaves the lock word taken.
#pragma once

#include <chrono>

#include "bank.h"
#include "slot.h"

namespace atomics::mutex {

// What the lock ops return. The caller holds the mutex unless it is 0.
enum Acquired : int64_t { kNotAcquired = 0, kAcquired = 1, kAcquiredOwnerDied = 2 };

// All of these take the slot in the caller's tensor. A negative timeout waits for ever.
Acquired lock(const char* op, const Slot* slot, double timeout);
Acquired try_lock(const char* op, const Slot* slot);
// After a death that was not declared repaired, the mutex is lost; with `pass_death_on` the next
// locker is told of it instead.
void unlock(const char* op, const Slot* slot, bool pass_death_on = false);
void consistent(const char* op, const Slot* slot);
int64_t owner(const char* op, const Slot* slot);  // thread id, 0 if unlocked

// The same for who has the bank pinned already.
Acquired lock(const char* op, const Slot* slot, Pin pin, double timeout);
Acquired lock_now(const char* op, const Slot* slot, Pin pin);  // never waits
Acquired try_lock(const char* op, const Slot* slot, Pin pin);
void unlock(const char* op, const Slot* slot, const Pin& pin, bool pass_death_on);

// pthread_mutex_lock with a bound on the wait, on the monotonic clock where glibc has it.
int lock_for(pthread_mutex_t* mutex, std::chrono::nanoseconds wait);

// Holds a mutex for the length of one op whose update is a single store: a dead owner has either
// made it or not, so the op goes on, and leaves the news to the next caller of `lock`.
class OpLock {
 public:
  OpLock(const char* op, const Slot* slot);
  ~OpLock();
  OpLock(const OpLock&) = delete;
  OpLock& operator=(const OpLock&) = delete;

 private:
  bool owner_died_;
};

}  // namespace atomics::mutex
