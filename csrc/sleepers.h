// Who sleeps for what, and who wakes them: the part of Counter and AtomicBool in which threads
// meet. The atomics are those of `Words`, sequentially consistent: this machine's, or those of a
// model, in which tests/verify/relacy looks for a wake-up that is lost. No Python here.
//
// The words of a Counter:
//
// | word | holds                                                                                  |
// | 0    | the value                                                                              |
// | 1    | 0, or the lowest value that somebody sleeps for, as an unsigned number (bias 2**63)    |
// | 2    | its low 32 bits: how often sleepers were woken, the word that they sleep on            |
//
// A sleeper reads word 2, lowers word 1, reads the value, and sleeps on word 2. An adder adds,
// reads word 1, and if the sum reaches it takes it back to 0, counts word 2 up and wakes all. These
// are sequentially consistent, so that one of the two always sees the other. Sleepers who were
// woken too early lower word 1 again. What a killed sleeper left there costs one wake.
#pragma once

#include <cstdint>

namespace atomics {

inline uint64_t biased(int64_t value) { return static_cast<uint64_t>(value) ^ (uint64_t{1} << 63); }

template <class Words>
void wake_who_waits(const Words& words, int64_t value) {
  const uint64_t lowest = words.awaited().load();
  if (lowest == 0 || biased(value) < lowest || words.awaited().exchange(0) == 0) return;
  words.wakes().fetch_add(1);
  words.wake();
}

// Returns the value before.
template <class Words>
[[gnu::always_inline]] inline int64_t add_and_wake(const Words& words, int64_t n) {
  const int64_t old = words.value().fetch_add(n);
  if (words.has_sleepers() && words.awaited().load() != 0) [[unlikely]] {
    // Through unsigned numbers, which wrap.
    wake_who_waits(words,
                   static_cast<int64_t>(static_cast<uint64_t>(old) + static_cast<uint64_t>(n)));
  }
  return old;
}

// Sleeps once, if the value is below `n`: until an adder reaches what somebody sleeps for, or
// earlier.
template <class Words>
void sleep_below(const Words& words, int64_t n) {
  const uint32_t wakes = words.wakes().load();
  uint64_t lowest = words.awaited().load();
  while ((lowest == 0 || biased(n) < lowest) &&
         !words.awaited().compare_exchange_weak(lowest, biased(n))) {
  }
  if (words.value().load() >= n) return;
  words.sleep_while(wakes);
}

// An AtomicBool is one word, 0 or not. Sleepers sleep while it is 0, so only the change has to wake
// them.
template <class Word>
void set_and_wake(const Word& word) {
  if (word.flag().exchange(1) == 0) word.wake();
}

}  // namespace atomics
