// A word of neighbouring cells, for one compare-and-swap instead of several. A locked instruction
// costs the same whatever its width, so the number of them is the price of a dense update.
#pragma once

#include <cstdint>

#ifdef __x86_64__
#include <cpuid.h>
#else
#include <sys/auxv.h>
#endif

namespace atomics::cpu {

using WideWord = unsigned __int128;
using NarrowWord = uint64_t;

#ifdef __x86_64__

// The baseline of x86-64 has neither cmpxchg16b nor prefetchw: functions marked with this have, and
// are called where has_wide() says so.
#define ATOMICS_WIDE __attribute__((target("cx16,prfchw")))

inline bool has_wide() {
  static const bool has = [] {
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    const bool swaps = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_CMPXCHG16B);
    constexpr unsigned kPrefetchW = 1u << 8;
    return swaps && __get_cpuid(0x80000001, &a, &b, &c, &d) && (c & kPrefetchW);
  }();
  return has;
}

#else

#define ATOMICS_WIDE

// Without LSE a wide swap would be a pair of exclusive loads and stores, slower than two narrow
// ones. The compiler's out-of-line helper has CASP where the machine has.
inline bool has_wide() {
  static const bool has = getauxval(AT_HWCAP) & HWCAP_ATOMICS;
  return has;
}

#endif

// Cells of any dtype are looked at as halves of wide words.
typedef NarrowWord Half64 __attribute__((may_alias));

template <class Word>
inline Word load_word(const char* at) {
  const auto load = [](const char* half) {
    return __atomic_load_n(reinterpret_cast<const Half64*>(half), __ATOMIC_RELAXED);
  };
  if constexpr (sizeof(Word) == sizeof(Half64)) {
    return load(at);
  } else {
    // Not atomic as a whole: halves of different age only make the first swap fail.
    return Word{load(at + sizeof(Half64))} << 64 | load(at);
  }
}

// Replaces the word at `at` by after(word) atomically and returns the word before. To be inlined
// into a function that is marked ATOMICS_WIDE if the word is wide.
template <class Word, class After>
[[gnu::always_inline]] inline Word update_word(char* at, After&& after) {
  typedef Word AnyWord __attribute__((may_alias));
  auto* const word = reinterpret_cast<AnyWord*>(at);  // aligned by the caller
  Word before = load_word<Word>(at);
  for (;;) {
    // ThreadSanitizer sees this builtin, as it would not see inline asm.
    const Word found = __sync_val_compare_and_swap(word, before, after(before));
    if (found == before) return before;
    before = found;
  }
}

}  // namespace atomics::cpu
