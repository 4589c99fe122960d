#include "held.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "../../fail.h"

namespace atomics::mutex {

namespace {

thread_local uint32_t id_of_this_thread = 0;
thread_local HeldMutexes held_by_this_thread;

void forget_in_child() {
  held_by_this_thread.forget_all();
  id_of_this_thread = 0;
}

[[maybe_unused]] const int forks = pthread_atfork(nullptr, nullptr, forget_in_child);

}  // namespace

HeldMutexes& held_mutexes() { return held_by_this_thread; }

uint32_t thread_id() {
  if (id_of_this_thread == 0) id_of_this_thread = static_cast<uint32_t>(syscall(SYS_gettid));
  return id_of_this_thread;
}

HeldMutexes::~HeldMutexes() {
  for (Held& each : held_) each.pin.orphan(thread_id());
}

void HeldMutexes::remove(const Held& held) {
  held_.erase(
      std::find_if(held_.begin(), held_.end(), [&](const Held& each) { return &each == &held; }));
}

Held* HeldMutexes::find(const Header& wanted) {
  const auto found = std::find_if(held_.begin(), held_.end(), [&](const Held& each) {
    const Header& header = each.pin.slot().header;
    return header.slot == wanted.slot && std::equal(header.id, header.id + 2, wanted.id);
  });
  return found == held_.end() ? nullptr : &*found;
}

bool HeldMutexes::has_of_bank(const Header& wanted) const {
  return std::any_of(held_.begin(), held_.end(), [&](const Held& each) {
    return std::equal(wanted.id, wanted.id + 2, each.pin.slot().header.id);
  });
}

void HeldMutexes::check_room(const char* op) const {
  if (static_cast<int64_t>(held_.size()) >= kMostSlots) {
    fail(op, "calling thread", "hold fewer than " + std::to_string(kMostSlots) + " mutexes",
         std::to_string(held_.size()));
  }
}

void HeldMutexes::forget_all() {
  for (Held& each : held_) each.pin.abandon();
  held_.clear();
}

}  // namespace atomics::mutex
