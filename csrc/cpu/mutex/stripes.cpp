#include "stripes.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>

#include "../../fail.h"
#include "deaths.h"
#include "held.h"
#include "robust_mutex.h"

namespace atomics::mutex {

namespace {

// A stripe is held for a microsecond or a few, less than it takes to sleep and be woken: some 10
// microseconds are spent on waiting awake.
constexpr int kSpins = 500;
constexpr std::chrono::milliseconds kSlice{50};

void pause() {
#ifdef __x86_64__
  __builtin_ia32_pause();
#else
  asm volatile("yield");
#endif
}

// The compiler must keep the order of the marks of a step and its stores. The processor does: what
// a killed thread has executed is all there for whom the kernel gives its lock.
void keep_order() { __atomic_signal_fence(__ATOMIC_SEQ_CST); }

bool is_lost(const Slot& slot) {
  return __atomic_load_n(&slot.header.news, __ATOMIC_RELAXED) == kLost;
}

}  // namespace

Stripes::Stripes(const char* op, const Slot* slots, int64_t count)
    : op_(op), caller_(slots), numbering_(count), pin_([&] {
        const Header header = read_header(op, slots);
        check_one_bank(op, header, count);
        if (held_mutexes().has_of_bank(header)) {
          fail(op, "mutex", "have no mutex that the calling thread holds", "one that it holds");
        }
        return Pin(op, slots, header);
      }()) {}

void Stripes::verify(int64_t i) {
  if (verified_) return;
  lock(i);
  unlock(i);
}

void Stripes::check_none_lost(int64_t first, int64_t begin, int64_t end) const {
  const int64_t first_stripe = begin / kStripeBytes;
  const int64_t stripes = (end + kStripeBytes - 1) / kStripeBytes - first_stripe;
  for (int64_t k = 0; k < std::min(stripes, count()); ++k) {
    const int64_t i = mutex_of(first, (first_stripe + k) * kStripeBytes);
    if (is_lost(slot(i))) fail_lost(i);
  }
}

void Stripes::fail_lost(int64_t i) const {
  mutex::fail_lost(op_, "mutex " + std::to_string(i) + ", one");
}

void Stripes::lock(int64_t i) {
  for (;;) {
    bool waited = false;
    acquire(i, waited);
    if (verified_) return;
    // As with a single mutex: whether the turn changes at the caller's address as well.
    Slot& mine = slot(i);
    const auto turn = static_cast<uint16_t>(mine.header.turn + 1);
    __atomic_store_n(&mine.header.turn, turn, __ATOMIC_RELAXED);
    verified_ = waited ? turn_is_after_wait(caller_ + i, turn) : turn_is(caller_ + i, turn);
    if (verified_) return;
    unlock(mine);
    pin_.forget();
    pin_ = Pin(op_, caller_, read_header_after_wait(op_, caller_));
  }
}

void Stripes::acquire(int64_t i, bool& waited) {
  Slot& slot = this->slot(i);
  int error = pthread_mutex_trylock(&slot.mutex);
  for (int spin = 0; error == EBUSY && spin < kSpins; ++spin) {
    pause();
    if ((lock_word(slot) & kThreadIdBits) == 0) error = pthread_mutex_trylock(&slot.mutex);
  }
  while (error == EBUSY || error == ETIMEDOUT) {
    waited = true;
    error = lock_for(&slot.mutex, kSlice);
  }
  if (error == EOWNERDEAD) {
    pass_death_on(slot);
  } else if (error != 0) {
    fail(op_, "mutex", "be lockable", std::strerror(error));
  }
  if (is_lost(slot)) {
    unlock(slot);
    fail_lost(i);
  }
}

void Stripes::unlock(Slot& slot) { pthread_mutex_unlock(&slot.mutex); }

void Stripes::begin_step(int64_t i) {
  ++slot(i).stripe.torn_and_in_step;
  keep_order();
}

void Stripes::end_step(int64_t i) {
  keep_order();
  --slot(i).stripe.torn_and_in_step;
}

Backing Stripes::backing_of(int64_t i) const {
  Backing backing = pin_.bank().backing;
  backing.offset += sizeof(Slot) * static_cast<uint64_t>(&slot(i) - pin_.bank().slots);
  return backing;
}

int64_t start_of_thread(int64_t count) {
  // Fibonacci hashing (Knuth, TAOCP 6.4) spreads neighbouring ids evenly.
  const uint64_t hash = thread_id() * 0x9E3779B97F4A7C15u;
  return static_cast<int64_t>((hash >> 32) * static_cast<uint64_t>(count) >> 32);
}

}  // namespace atomics::mutex
