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
  const Slot* const caller = slot("acquire");
  return mutex::try_lock("acquire", caller, anchor_.pin());
}

Acquired AnchoredMutex::lock_now() {
  const Slot* const caller = slot("acquire");
  return mutex::lock_now("acquire", caller, anchor_.pin());
}

Acquired AnchoredMutex::lock(double timeout) {
  const Slot* const caller = slot("acquire");
  return mutex::lock("acquire", caller, anchor_.pin(), timeout);
}

void AnchoredMutex::unlock(bool pass_death_on) {
  const Slot* const caller = slot("release");
  mutex::unlock("release", caller, anchor_.pin(), pass_death_on);
}

void AnchoredMutex::consistent() { mutex::consistent("consistent", slot("consistent")); }

int64_t AnchoredMutex::owner() { return owner_of(slot("owner")); }

int64_t AnchoredMutex::recoveries() {
  slot("recoveries");
  return deaths_of(anchor_.slot()).recoveries;
}

}  // namespace atomics::mutex
