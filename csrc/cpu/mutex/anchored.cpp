#include "anchored.h"

#include "deaths.h"
#include "held.h"

namespace atomics::mutex {

AnchoredMutex::AnchoredMutex(const char* op, const Slot* slot)
    : anchor_(op, slot, read_header(op, slot)) {}

// The slot in our mapping, which stands for the caller's. The bytes may have been overwritten.
const Slot* AnchoredMutex::slot(const char* op) const {
  const Slot* const slot = &anchor_.slot();
  if (!anchor_.has_id(read_header(op, slot))) fail_copy(op);
  return slot;
}

Acquired AnchoredMutex::try_lock() {
  const Slot* const caller = slot("mutex_try_lock");
  return mutex::try_lock("mutex_try_lock", caller, anchor_.pin());
}

Acquired AnchoredMutex::lock_now() {
  const Slot* const caller = slot("mutex_lock");
  return mutex::lock_now("mutex_lock", caller, anchor_.pin());
}

Acquired AnchoredMutex::lock(double timeout) {
  const Slot* const caller = slot("mutex_lock");
  return mutex::lock("mutex_lock", caller, anchor_.pin(), timeout);
}

void AnchoredMutex::unlock(bool pass_death_on) {
  const Slot* const caller = slot("mutex_unlock");
  mutex::unlock("mutex_unlock", caller, anchor_.pin(), pass_death_on);
}

void AnchoredMutex::consistent() {
  mutex::consistent("mutex_consistent", slot("mutex_consistent"));
}

int64_t AnchoredMutex::owner() { return owner_of(slot("mutex_owner")); }

int64_t AnchoredMutex::recoveries() {
  slot("mutex_recoveries");
  return deaths_of(anchor_.slot()).recoveries;
}

}  // namespace atomics::mutex
