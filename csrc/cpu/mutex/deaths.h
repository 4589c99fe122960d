// How often a holder of a mutex died. No torch header here.
#pragma once

#include <string>

#include "bank.h"

namespace atomics::mutex {

// Of the holders of a mutex, ever.
struct Deaths {
  int64_t recoveries = 0;
  int64_t torn = 0;  // those in the middle of a step
};

// Counts the death of a slot's last owner, of which the calling thread was told when it got the
// lock, and makes the lock usable.
void note_death(Slot& slot);

// The same by who goes on: leaves word for who locks this mutex by itself, for it may have been
// such a holder that died.
void pass_death_on(Slot& slot);

// Has a death noted that nobody met yet. Waits for nobody, and may be called by the holder.
Deaths deaths_of(Slot& slot);

[[noreturn]] void fail_lost(const char* op, const std::string& mutex);

// Of all mutexes of a bank, or part of one, in the caller's tensor.
Deaths deaths(const char* op, const Slot* slots, int64_t count);

// Raises unless the slots are part of the bank that their first one's header names.
void check_one_bank(const char* op, const Header& header, int64_t count);

}  // namespace atomics::mutex
