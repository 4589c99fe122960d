#include "deaths.h"

#include <cerrno>

#include "../../fail.h"

namespace atomics::mutex {

void note_death(Slot& slot) {
  __atomic_fetch_add(&slot.header.recoveries, 1, __ATOMIC_RELAXED);
  uint64_t& steps = slot.stripe.torn_and_in_step;
  if (steps % 2 == 1) __atomic_store_n(&steps, steps + 1, __ATOMIC_RELAXED);
  pthread_mutex_consistent(&slot.mutex);
}

void pass_death_on(Slot& slot) {
  note_death(slot);
  if (__atomic_load_n(&slot.header.news, __ATOMIC_RELAXED) == kNone) {
    __atomic_store_n(&slot.header.news, kOwnerDied, __ATOMIC_RELAXED);
  }
}

void fail_lost(const char* op, const std::string& mutex) {
  fail(op, "mutex", "not be lost",
       mutex +
           " that was unlocked after a holder's death and not declared consistent (what it "
           "guards may be half-written; repair that, and make a new mutex)");
}

Deaths deaths_of(Slot& slot) {
  if ((lock_word(slot) & kOwnerDiedBit) != 0) {
    const int error = pthread_mutex_trylock(&slot.mutex);
    if (error == EOWNERDEAD) pass_death_on(slot);
    if (error == EOWNERDEAD || error == 0) pthread_mutex_unlock(&slot.mutex);
  }
  const auto steps = __atomic_load_n(&slot.stripe.torn_and_in_step, __ATOMIC_RELAXED);
  return {__atomic_load_n(&slot.header.recoveries, __ATOMIC_RELAXED),
          static_cast<int64_t>(steps / 2)};
}

Deaths deaths(const char* op, const Slot* slots, int64_t count) {
  const Header header = read_header(op, slots);
  check_one_bank(op, header, count);
  Pin pin(op, slots, header);
  if (!same_memory(op, slots, pin)) {  // a byte copy, where the original was mapped before
    pin.forget();
    pin = Pin(op, slots, header);
  }
  Deaths all;
  for (int64_t i = 0; i < count; ++i) {
    const Deaths of_slot = deaths_of((&pin.slot())[i]);
    all.recoveries += of_slot.recoveries;
    all.torn += of_slot.torn;
  }
  return all;
}

void check_one_bank(const char* op, const Header& header, int64_t count) {
  if (header.slot + count > header.slots) {
    fail(op, "mutex", "be one bank", "the mutexes of several, side by side");
  }
}

}  // namespace atomics::mutex
