// A word of neighbouring cells, for one compare-and-swap instead of several. A locked instruction
// costs the same whatever its width, so the number of them is the price of a dense update.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#ifdef __x86_64__
#include <cpuid.h>
#endif

namespace atomics::cpu {

// Cells of any dtype are looked at as halves of words, and as words.
typedef uint64_t Half __attribute__((may_alias));

inline uint64_t load_half(const char* at) {
  return __atomic_load_n(reinterpret_cast<const Half*>(at), __ATOMIC_RELAXED);
}

#ifdef __x86_64__

using Word = unsigned __int128;

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

// Not atomic as a whole: halves of different age only make the first swap fail.
inline Word load_word(const char* at) { return Word{load_half(at + 8)} << 64 | load_half(at); }

// By way of its halves: through memory, the wide load would have to wait for two narrow stores,
// which costs as much as the swap.
template <class Vector>
Vector lanes_of(Word word) {
  typedef uint64_t Halves __attribute__((vector_size(sizeof(Word))));
  return std::bit_cast<Vector>(
      Halves{static_cast<uint64_t>(word), static_cast<uint64_t>(word >> 64)});
}

#else

using Word = uint64_t;

#define ATOMICS_WIDE

inline bool has_wide() { return true; }

inline Word load_word(const char* at) { return load_half(at); }

template <class Vector>
Vector lanes_of(Word word) {
  return std::bit_cast<Vector>(word);
}

#endif

// The elements of a word, in a vector. Integers are unsigned in there, so that they wrap.
template <class T>
struct Lanes {
  using Lane = typename std::conditional_t<std::is_integral_v<T>, std::make_unsigned<T>,
                                           std::type_identity<T>>::type;
  typedef Lane Vector __attribute__((vector_size(sizeof(Word))));
  static constexpr int64_t kCount = sizeof(Word) / sizeof(T);

  static Vector read(const char* at) {
    Vector vector;
    std::memcpy(&vector, at, sizeof(vector));
    return vector;
  }
  static Vector all(const char* at) {
    Lane lane;
    std::memcpy(&lane, at, sizeof(lane));
    Vector vector;
    for (int64_t k = 0; k < kCount; ++k) vector[k] = lane;
    return vector;
  }
};

// Replaces the word at `at` by combine(word) atomically and returns the word before.
template <class Vector, class Combine>
ATOMICS_WIDE inline Vector update_word(char* at, Combine&& combine) {
  typedef Word AnyWord __attribute__((may_alias));
  auto* const word = reinterpret_cast<AnyWord*>(at);  // aligned by the caller
  Word before = load_word(at);
  for (;;) {
    const auto after = std::bit_cast<Word>(combine(lanes_of<Vector>(before)));
    // ThreadSanitizer sees this builtin, as it would not see inline asm.
    const Word found = __sync_val_compare_and_swap(word, before, after);
    if (found == before) return lanes_of<Vector>(before);
    before = found;
  }
}

}  // namespace atomics::cpu
