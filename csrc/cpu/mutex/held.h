// What the calling thread holds. Robust mutexes belong to threads. No torch header here.
#pragma once

#include <deque>

#include "bank.h"

namespace atomics::mutex {

struct Held {
  Pin pin;
  const Slot* caller;  // where the caller's tensor had the slot when it was locked
  bool owner_died;     // the holder has been told and has not called consistent()
};

class HeldMutexes {
 public:
  // Runs before the kernel walks this thread's robust mutexes.
  ~HeldMutexes();

  void add(Held held) { held_.push_back(std::move(held)); }
  void remove(const Held& held);
  Held* find(const Header& header);  // by id and slot; null if not held
  bool has_of_bank(const Header& header) const;
  Held& last() { return held_.back(); }

  // Raises if the thread holds as many as the kernel would recover.
  void check_room(const char* op) const;

  // In the child of a fork, which holds nothing: its parent's thread still does.
  void forget_all();

 private:
  std::deque<Held> held_;  // keeps references valid while others are added
};

HeldMutexes& held_mutexes();

// The kernel's id of the calling thread, as in a futex word.
uint32_t thread_id();

}  // namespace atomics::mutex
