// A word of neighbouring cells, for one compare-and-swap instead of several. A locked instruction
// costs the same whatever its width, so the number of them is the price of a dense update.
#pragma once

#include <cstddef>
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

template <class Lane, size_t size>
struct VectorOf {
  typedef Lane type __attribute__((vector_size(size)));
};
template <class Lane, size_t size>
using Vector = typename VectorOf<Lane, size>::type;

// A word in a vector register.
template <class Word>
using Block = Vector<uint64_t, sizeof(Word)>;

// ThreadSanitizer does not understand what is faster on x86-64.
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
constexpr bool kByHand = true;
#else
constexpr bool kByHand = false;
#endif

// Not atomic as a whole where the machine's vector loads are not: halves of different age only make
// the first swap fail.
template <class Word>
[[gnu::always_inline]] inline Block<Word> load_block(const char* at) {
  if constexpr (kByHand) {
    typedef Block<Word> AnyBlock __attribute__((may_alias));
    return *reinterpret_cast<const volatile AnyBlock*>(at);
  } else {
    typedef uint64_t Half __attribute__((may_alias));
    Block<Word> block;
    for (size_t k = 0; k < sizeof(Word) / sizeof(Half); ++k) {
      block[k] = __atomic_load_n(reinterpret_cast<const Half*>(at) + k, __ATOMIC_RELAXED);
    }
    return block;
  }
}

// Replaces the word at `at`, which is aligned, if it is `before`. Wide ones in functions only that
// are marked ATOMICS_WIDE.
template <class Word>
[[gnu::always_inline]] inline bool swap_word(char* at, Block<Word> before, Block<Word> after) {
  typedef Word AnyWord __attribute__((may_alias));
  auto* const word = reinterpret_cast<AnyWord*>(at);
  if constexpr (sizeof(Word) == sizeof(uint64_t)) {
    return __sync_bool_compare_and_swap(word, before[0], after[0]);
  } else if constexpr (kByHand) {
    // The builtin takes its operands to the registers by way of the stack, and a locked instruction
    // waits for stores.
    uint64_t low = before[0];
    uint64_t high = before[1];
    bool swapped;
    asm volatile("lock cmpxchg16b %1"
                 : "=@ccz"(swapped), "+m"(*word), "+a"(low), "+d"(high)
                 : "b"(after[0]), "c"(after[1])
                 : "memory");
    return swapped;
  } else {
    const auto word_of = [](Block<Word> block) { return Word{block[1]} << 64 | block[0]; };
    return __sync_bool_compare_and_swap(word, word_of(before), word_of(after));
  }
}

}  // namespace atomics::cpu
