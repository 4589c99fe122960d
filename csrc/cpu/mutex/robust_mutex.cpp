#include "robust_mutex.h"

#include <dlfcn.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "../../fail.h"
#include "bank.h"

namespace atomics::mutex {

namespace {

using Clock = std::chrono::steady_clock;

// How long one wait in the kernel lasts at most: then the mappings are compared again.
constexpr std::chrono::milliseconds kSlice(50);

constexpr uint32_t kThreadId = 0x3fffffff;  // of a futex word; the bits above are flags

struct Held {
  Pin pin;
  const Slot* caller;
  bool owner_died;  // the holder has been told and has not called consistent()
};

struct ThreadState {
  std::vector<Held> held;
  uint32_t thread_id = 0;

  // Runs before the kernel walks this thread's robust mutexes, so their memory has to stay.
  ~ThreadState() { clear(); }

  void clear() {
    for (Held& each : held) each.pin.abandon();
    held.clear();
    thread_id = 0;
  }
};

thread_local ThreadState this_thread;

// The child of a fork holds nothing: its parent's thread still does.
[[maybe_unused]] const int forks = pthread_atfork(nullptr, nullptr, [] { this_thread.clear(); });

uint32_t thread_id() {
  if (this_thread.thread_id == 0) {
    this_thread.thread_id = static_cast<uint32_t>(syscall(SYS_gettid));
  }
  return this_thread.thread_id;
}

// The owner as the kernel sees it. The caller's bytes may change at any time.
uint32_t owner_of(const Slot* slot) {
  const auto* word = &slot->mutex.__data.__lock;
  return static_cast<uint32_t>(__atomic_load_n(word, __ATOMIC_RELAXED)) & kThreadId;
}

std::vector<Held>::iterator find_held(const Slot* slot) {
  const Header& wanted = slot->header;
  auto& held = this_thread.held;
  return std::find_if(held.begin(), held.end(), [&](const Held& each) {
    const Header& header = each.pin.slot().header;
    return header.slot == wanted.slot && std::equal(header.id, header.id + 2, wanted.id);
  });
}

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
      this_thread.held.push_back({std::move(pin), caller, owner_died});
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

void release(std::vector<Held>::iterator held) {
  Slot& slot = held->pin.slot();
  // Unrepaired: the next locker has to be told as well. (If glibc knows of the death, rather than
  // only the header, it makes the mutex unusable.)
  if (held->owner_died) __atomic_store_n(&slot.header.owner_died, 1, __ATOMIC_RELEASE);
  pthread_mutex_unlock(&slot.mutex);
  this_thread.held.erase(held);
}

void check_room(const char* op) {
  if (static_cast<int64_t>(this_thread.held.size()) >= kMostSlots) {
    fail(op, "calling thread", "hold fewer than " + std::to_string(kMostSlots) + " mutexes",
         std::to_string(this_thread.held.size()));
  }
}

}  // namespace

void init(const char* op, Slot* slots, int64_t count) {
  const auto mapping = find_mapping(slots);
  // Addresses as numbers, to compare them with the kernel's.
  const auto end = reinterpret_cast<uintptr_t>(slots + count);
  if (!mapping || !mapping->shared || end > mapping->end) {
    fail(op, "memory", "be shared (share_memory_() first)", "private memory");
  }
  if (!mapping->writable) fail(op, "memory", "be writable", "a read-only mapping");
  const auto* bytes = reinterpret_cast<const char*>(slots);  // a slot may be looked at as bytes
  if (std::any_of(bytes, bytes + count * sizeof(Slot), [](char byte) { return byte != 0; })) {
    fail(op, "memory", "be all zeros", "other bytes, perhaps a live mutex");
  }

  uint64_t id[2];
  if (getrandom(id, sizeof(id), 0) != sizeof(id)) {
    fail(op, "getrandom", "give 16 bytes", std::strerror(errno));
  }
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  // An enum in glibc: an #ifdef on it would silently drop the line.
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
  for (int64_t i = 0; i < count; ++i) {
    pthread_mutex_init(&slots[i].mutex, &attributes);
    Header& header = slots[i].header;
    header.version = kVersion;
    header.kind = kKind;
    header.libc = kLibc;
    header.mutex_size = sizeof(pthread_mutex_t);
    header.slot = static_cast<uint16_t>(i);
    header.slots = static_cast<uint16_t>(count);
    std::copy(id, id + 2, header.id);
    header.pid_namespace = pid_namespace();
    header.device = mapping->backing.device;
    header.inode = mapping->backing.inode;
    header.offset = mapping->backing.offset;
    __atomic_store_n(&header.magic, kMagic, __ATOMIC_RELEASE);
  }
  pthread_mutexattr_destroy(&attributes);
}

Acquired lock(const char* op, const Slot* caller, double timeout) {
  if (timeout != timeout) fail(op, "timeout", "be a number of seconds", "nan");
  check_room(op);
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
  check_room(op);
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
  const auto held = find_held(caller);
  if (held == this_thread.held.end()) {
    const Pin pin(op, caller);
    fail_owner(op, "be held by the calling thread", owner_of(&pin.slot()));
  }
  // Another address is the same mutex only if it is the same memory: the bytes can be a copy's.
  if (owner_of(caller) != thread_id() ||
      (caller != held->caller && !same_memory(caller, held->pin))) {
    fail_copy(op);
  }
  release(held);
}

void consistent(const char* op, const Slot* caller) {
  check_slot(op, caller);
  const auto held = find_held(caller);
  if (held == this_thread.held.end() || !held->owner_died) {
    fail(op, "mutex", "be held by the calling thread after its owner died",
         held == this_thread.held.end() ? "one it does not hold" : "one whose owner did not die");
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
  __atomic_store_n(&find_held(slot)->pin.slot().header.owner_died, 1, __ATOMIC_RELEASE);
}

// Ops nest, so this is the mutex that the thread locked last.
OpLock::~OpLock() { release(std::prev(this_thread.held.end())); }

}  // namespace atomics::mutex
