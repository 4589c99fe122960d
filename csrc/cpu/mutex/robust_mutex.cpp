#include "robust_mutex.h"

#include <dlfcn.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <string>

#include "../../fail.h"
#include "../deadline.h"
#include "bank.h"
#include "deaths.h"
#include "held.h"

namespace atomics::mutex {

namespace {

using ClockLock = int (*)(pthread_mutex_t*, clockid_t, const timespec*);

// glibc 2.30 brought it, and torch's wheels still run on 2.28.
const auto clock_lock = reinterpret_cast<ClockLock>(dlsym(RTLD_DEFAULT, "pthread_mutex_clocklock"));

}  // namespace

int lock_for(pthread_mutex_t* mutex, std::chrono::nanoseconds wait) {
  const clockid_t clock = clock_lock ? CLOCK_MONOTONIC : CLOCK_REALTIME;
  timespec until{};
  clock_gettime(clock, &until);
  const int64_t nanoseconds = until.tv_nsec + wait.count();
  until.tv_sec += nanoseconds / 1'000'000'000;
  until.tv_nsec = nanoseconds % 1'000'000'000;
  return clock_lock ? clock_lock(mutex, clock, &until) : pthread_mutex_timedlock(mutex, &until);
}

namespace {

[[noreturn]] void fail_owner(const char* op, const std::string& rule, uint32_t owner) {
  fail(op, "mutex", rule,
       owner ? "one held by thread " + std::to_string(owner) : "an unlocked one");
}

void unlock_with(Slot& slot, uint32_t news) {
  if (news != kNone) __atomic_store_n(&slot.header.news, news, __ATOMIC_RELAXED);
  pthread_mutex_unlock(&slot.mutex);
}

// What came of an attempt on the duplicate, by its error; nothing if the duplicate proved to be of
// other memory than the caller's slot, in which `turn_is` looks. The lock word alone does not tell:
// a copy that was made while this thread held the mutex names it as well.
template <class TurnIs>
std::optional<Acquired> outcome(const char* op, const Slot* caller, Pin& pin, int error,
                                TurnIs&& turn_is) {
  Slot& slot = pin.slot();
  switch (error) {
    case 0:
    case EOWNERDEAD: {
      const auto turn = static_cast<uint16_t>(slot.header.turn + 1);
      __atomic_store_n(&slot.header.turn, turn, __ATOMIC_RELAXED);
      const bool mine = turn_is(caller, turn);
      uint32_t news = __atomic_load_n(&slot.header.news, __ATOMIC_RELAXED);
      if (error == EOWNERDEAD) {
        note_death(slot);
        if (news == kNone) news = kOwnerDied;
      }
      if (mine && news != kLost) {
        __atomic_store_n(&slot.header.news, kNone, __ATOMIC_RELAXED);
        held_mutexes().add({std::move(pin), caller, news == kOwnerDied});
        return news == kOwnerDied ? kAcquiredOwnerDied : kAcquired;
      }
      // A death that this caller has nothing to do with: leave word for the next locker.
      unlock_with(slot, news);
      if (!mine) return std::nullopt;
      fail_lost(op, "one");
    }
    case EDEADLK:
      if (!same_memory(op, caller, pin)) return std::nullopt;
      fail(op, "mutex", "not be held by the calling thread",
           "one that it holds (it is not recursive; after a death, declare it consistent)");
    case EBUSY:
    case ETIMEDOUT:
      return kNotAcquired;
    default:
      fail(op, "mutex", "be lockable", std::strerror(error));
  }
}

void release(Held& held, bool pass_death_on) {
  const uint32_t after_death = pass_death_on ? kOwnerDied : kLost;
  unlock_with(held.pin.slot(), held.owner_died ? after_death : kNone);
  held_mutexes().remove(held);
}

}  // namespace

Acquired lock(const char* op, const Slot* caller, double timeout) {
  return lock(op, caller, Pin(op, caller, read_header(op, caller)), timeout);
}

Acquired lock(const char* op, const Slot* caller, Pin pin, double timeout) {
  const cpu::Deadline deadline(op, timeout);
  held_mutexes().check_room(op);
  auto acquired = outcome(op, caller, pin, pthread_mutex_trylock(&pin.slot().mutex), turn_is);
  // From the first wait on, the caller's memory may go, and is only read by way of the kernel.
  for (bool waited = false; !acquired || *acquired == kNotAcquired; waited = true) {
    if (!acquired || (waited && !same_memory(op, caller, pin))) {
      pin.forget();
      pin = Pin(op, caller, read_header_after_wait(op, caller));
    } else if (waited && deadline.passed()) {
      return kNotAcquired;
    }
    const int error = lock_for(&pin.slot().mutex, deadline.slice());
    acquired = outcome(op, caller, pin, error, turn_is_after_wait);
  }
  return *acquired;
}

Acquired lock_now(const char* op, const Slot* caller, Pin pin) {
  held_mutexes().check_room(op);
  const int error = pthread_mutex_trylock(&pin.slot().mutex);
  return outcome(op, caller, pin, error, turn_is).value_or(kNotAcquired);
}

Acquired try_lock(const char* op, const Slot* caller) {
  return try_lock(op, caller, Pin(op, caller, read_header(op, caller)));
}

Acquired try_lock(const char* op, const Slot* caller, Pin pin) {
  held_mutexes().check_room(op);
  for (;;) {
    Slot& slot = pin.slot();
    int error = pthread_mutex_trylock(&slot.mutex);
    if (error == EDEADLK) error = EBUSY;  // as threading.Lock: no error, just not acquired
    const auto acquired = outcome(op, caller, pin, error, turn_is);
    // Different words in what should be one memory: worth the look that every busy try cannot pay.
    const bool other =
        !acquired || (*acquired == kNotAcquired && owner_of(caller) != owner_of(&slot) &&
                      !same_memory(op, caller, pin));
    if (!other) return *acquired;
    pin.forget();
    pin = Pin(op, caller, read_header(op, caller));
  }
}

namespace {

void unlock_held(const char* op, const Slot* caller, Held* held, bool pass_death_on) {
  // Another address is the same mutex only if it is the same memory: the bytes can be a copy's.
  if (owner_of(caller) != thread_id() ||
      (caller != held->caller && !same_memory(op, caller, held->pin))) {
    fail_copy(op);
  }
  release(*held, pass_death_on);
}

}  // namespace

void unlock(const char* op, const Slot* caller, bool pass_death_on) {
  const Header header = read_header(op, caller);
  Held* const held = held_mutexes().find(header);
  if (held != nullptr) return unlock_held(op, caller, held, pass_death_on);
  unlock(op, caller, Pin(op, caller, header), pass_death_on);
}

void unlock(const char* op, const Slot* caller, const Pin& pin, bool pass_death_on) {
  Held* const held = held_mutexes().find(pin.slot().header);
  if (held != nullptr) return unlock_held(op, caller, held, pass_death_on);
  fail_owner(op, "be held by the calling thread", owner_of(&pin.slot()));
}

void consistent(const char* op, const Slot* caller) {
  Held* const held = held_mutexes().find(read_header(op, caller));
  if (held == nullptr || !held->owner_died) {
    fail(op, "mutex", "be held by the calling thread after its owner died",
         held == nullptr ? "one it does not hold" : "one whose owner did not die");
  }
  held->owner_died = false;
}

int64_t owner(const char* op, const Slot* caller) {
  const Pin pin(op, caller, read_header(op, caller));
  return owner_of(&pin.slot());
}

OpLock::OpLock(const char* op, const Slot* slot)
    : owner_died_(lock(op, slot, -1) == kAcquiredOwnerDied) {
  if (owner_died_) consistent(op, slot);
}

// Ops nest, so this is the mutex that the thread locked last.
OpLock::~OpLock() {
  Held& held = held_mutexes().last();
  unlock_with(held.pin.slot(), owner_died_ ? kOwnerDied : kNone);
  held_mutexes().remove(held);
}

}  // namespace atomics::mutex
