// A slot of the registry of handles: threads use what it holds while others close and reuse it. A
// template on the atomic word, so that tests/verify/relacy runs the same code. No torch header.
//
// | bits   | hold                                                                              |
// | 63..21 | the number of the handle that the slot is open for, random, so that no other fits |
// | 20     | 1 while it is open                                                                |
// | 19..0  | how many threads use it now                                                       |
//
// Who closes a slot, or leaves it last after that, empties it: exactly one thread, which no other
// meets. `Word` has load, store, fetch_sub and compare_exchange_weak in acquire-release order.
#pragma once

#include <cstdint>

namespace atomics::cpu {

constexpr int kUserBits = 20;
constexpr uint64_t kOpen = uint64_t{1} << kUserBits;
constexpr int kNumberShift = kUserBits + 1;

inline bool is_open_for(uint64_t state, uint64_t number) {
  return state >> kUserBits == (number << 1 | 1);
}

// By who has filled an empty slot, which nobody else knows.
template <class Word>
void open(Word& word, uint64_t number) {
  word.store(number << kNumberShift | kOpen);
}

// Whether the slot is open for that number; it stays filled until leave then.
template <class Word>
bool enter(Word& word, uint64_t number) {
  uint64_t state = word.load();
  while (is_open_for(state, number)) {
    if (word.compare_exchange_weak(state, state + 1)) return true;
  }
  return false;
}

// True for who has to empty the slot.
template <class Word>
bool leave(Word& word) {
  const uint64_t left = word.fetch_sub(1) - 1;
  return (left & (2 * kOpen - 1)) == 0;
}

enum class Closed { kBefore, kInUse, kEmpty };

// kEmpty for who has to empty the slot, kInUse if its last user does, kBefore if it was not open
// for that number.
template <class Word>
Closed close(Word& word, uint64_t number) {
  uint64_t state = word.load();
  while (is_open_for(state, number)) {
    const uint64_t closed = state & ~kOpen;
    if (word.compare_exchange_weak(state, closed)) {
      return (closed & (kOpen - 1)) == 0 ? Closed::kEmpty : Closed::kInUse;
    }
  }
  return Closed::kBefore;
}

}  // namespace atomics::cpu
