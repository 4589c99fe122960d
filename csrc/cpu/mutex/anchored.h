// A mutex that is used through this library's mapping of it only, for as long as the object lives:
// whatever becomes of the tensor that it was opened through. Errors name the methods of the Python
// class, whose mutex it is. No torch header here.
#pragma once

#include "robust_mutex.h"

namespace atomics::mutex {

class AnchoredMutex {
 public:
  // Opens the slot in a tensor's memory; refuses what the mutex ops refuse.
  AnchoredMutex(const char* op, const Slot* slot);

  Acquired try_lock();  // not acquired if this thread holds it
  Acquired lock_now();  // raises if this thread holds it
  Acquired lock(double timeout);
  void unlock(bool pass_death_on);
  void consistent();
  int64_t owner();
  int64_t recoveries();

 private:
  const Slot* slot(const char* op) const;

  Anchor anchor_;
};

}  // namespace atomics::mutex
