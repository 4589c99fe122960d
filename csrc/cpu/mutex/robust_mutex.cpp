#include "robust_mutex.h"

#include <dlfcn.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <string>

#include "../../fail.h"
#include "bank.h"
#include "held.h"

namespace atomics::mutex {

namespace {

using Clock = std::chrono::steady_clock;

// How long one wait in the kernel lasts at most: then the mappings are compared again.
constexpr std::chrono::milliseconds kSlice(50);

using ClockLock = int (*)(pthread_mutex_t*, clockid_t, const timespec*);

// glibc 2.30 brought it, and torch's wheels still run on 2.28.
const auto clock_lock = reinterpret_cast<ClockLock>(dlsym(RTLD_DEFAULT, "pthread_mutex_clocklock"));

int lock_for(pthread_mutex_t* mutex, std::chrono::nanoseconds wait) {
  const clockid_t clock = clock_lock ? CLOCK_MONOTONIC : CLOCK_REALTIME;
  timespec until{};
  clock_gettime(clock, &until);
  const int64_t nanoseconds = until.tv_nsec + wait.count();
  until.tv_sec += nanoseconds / 1'000'000'000;
  until.tv_nsec = nanoseconds % 1'000'000'000;
  return clock_lock ? clock_lock(mutex, clock, &until) : pthread_mutex_timedlock(mutex, &until);
}

[[noreturn]] void fail_owner(const char* op, const std::string& rule, uint32_t owner) {
  fail(op, "mutex", rule,
       owner ? "one held by thread " + std::to_string(owner) : "an unlocked one");
}

// One attempt on the duplicate; nothing if the duplicate proved to be of other memory.
std::optional<Acquired> attempt(const char* op, const Slot* caller, Pin& pin, int error) {
  Slot& slot = pin.slot();
  switch (error) {
    case 0:
    case EOWNERDEAD: {
      if (error == EOWNERDEAD) __atomic_fetch_add(&slot.header.recoveries, 1, __ATOMIC_RELAXED);
      if (owner_of(caller) != thread_id()) {
        if (error == EOWNERDEAD) {
          // A death that this caller has nothing to do with: leave word for the next locker.
          __atomic_store_n(&slot.header.owner_died, 1, __ATOMIC_RELEASE);
          pthread_mutex_consistent(&slot.mutex);
        }
        pthread_mutex_unlock(&slot.mutex);
        return std::nullopt;
      }
      const bool told_late = __atomic_exchange_n(&slot.header.owner_died, 0, __ATOMIC_ACQ_REL) != 0;
      const bool owner_died = error == EOWNERDEAD || told_late;
      held_mutexes().add({std::move(pin), caller, owner_died});
      return owner_died ? kAcquiredOwnerDied : kAcquired;
    }
    case EDEADLK:
      if (!same_memory(caller, pin)) return std::nullopt;
      fail_owner(op, "not be held by the calling thread", thread_id());
    case ENOTRECOVERABLE:
      if (!same_memory(caller, pin)) return std::nullopt;
      fail(op, "mutex", "be repaired with mutex_consistent before it is unlocked after a death",
           "one that was not, and is lost");
    case EBUSY:
    case ETIMEDOUT:
      return kNotAcquired;
    default:
      fail(op, "mutex", "be lockable", std::strerror(error));
  }
}

void release(Held& held) {
  Slot& slot = held.pin.slot();
  // Unrepaired: the next locker has to be told as well. (If glibc knows of the death, rather than
  // only the header, it makes the mutex unusable.)
  if (held.owner_died) __atomic_store_n(&slot.header.owner_died, 1, __ATOMIC_RELEASE);
  pthread_mutex_unlock(&slot.mutex);
  held_mutexes().remove(held);
}

}  // namespace

Acquired lock(const char* op, const Slot* caller, double timeout) {
  if (timeout != timeout) fail(op, "timeout", "be a number of seconds", "nan");
  held_mutexes().check_room(op);
  const bool forever = timeout < 0;
  // Longer than any run, and short enough not to overflow the clock.
  const std::chrono::duration<double> bounded(std::min(timeout, 1e9));
  const auto deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(bounded);
  for (Pin pin(op, caller);;) {
    const auto left = forever ? Clock::duration(kSlice) : deadline - Clock::now();
    const auto wait = std::clamp<Clock::duration>(left, Clock::duration(0), kSlice);
    const auto acquired = attempt(op, caller, pin, lock_for(&pin.slot().mutex, wait));
    if (acquired && *acquired != kNotAcquired) return *acquired;
    if (!acquired || !same_memory(caller, pin)) {
      pin.forget(caller);
      pin = Pin(op, caller);
    } else if (!forever && Clock::now() >= deadline) {
      return kNotAcquired;
    }
  }
}

Acquired try_lock(const char* op, const Slot* caller) {
  held_mutexes().check_room(op);
  for (Pin pin(op, caller);;) {
    Slot& slot = pin.slot();
    int error = pthread_mutex_trylock(&slot.mutex);
    if (error == EDEADLK) error = EBUSY;  // as threading.Lock: no error, just not acquired
    const auto acquired = attempt(op, caller, pin, error);
    // Different words in what should be one memory: worth the look that every busy try cannot pay.
    const bool other =
        !acquired || (*acquired == kNotAcquired && owner_of(caller) != owner_of(&slot) &&
                      !same_memory(caller, pin));
    if (!other) return *acquired;
    pin.forget(caller);
    pin = Pin(op, caller);
  }
}

void unlock(const char* op, const Slot* caller) {
  check_slot(op, caller);
  Held* const held = held_mutexes().find(caller);
  if (held == nullptr) {
    const Pin pin(op, caller);
    fail_owner(op, "be held by the calling thread", owner_of(&pin.slot()));
  }
  // Another address is the same mutex only if it is the same memory: the bytes can be a copy's.
  if (owner_of(caller) != thread_id() ||
      (caller != held->caller && !same_memory(caller, held->pin))) {
    fail_copy(op);
  }
  release(*held);
}

void consistent(const char* op, const Slot* caller) {
  check_slot(op, caller);
  Held* const held = held_mutexes().find(caller);
  if (held == nullptr || !held->owner_died) {
    fail(op, "mutex", "be held by the calling thread after its owner died",
         held == nullptr ? "one it does not hold" : "one whose owner did not die");
  }
  pthread_mutex_consistent(&held->pin.slot().mutex);  // EINVAL if only the header knew: no matter
  held->owner_died = false;
}

int64_t owner(const char* op, const Slot* caller) {
  const Pin pin(op, caller);
  return owner_of(&pin.slot());
}

OpLock::OpLock(const char* op, const Slot* slot) {
  if (lock(op, slot, -1) != kAcquiredOwnerDied) return;
  consistent(op, slot);
  __atomic_store_n(&held_mutexes().last().pin.slot().header.owner_died, 1, __ATOMIC_RELEASE);
}

// Ops nest, so this is the mutex that the thread locked last.
OpLock::~OpLock() { release(held_mutexes().last()); }

}  // namespace atomics::mutex
