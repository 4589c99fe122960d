// Applies an op to runs of neighbouring cells, words of them at a time.
#pragma once

#include <array>
#include <cstring>
#include <type_traits>
#include <utility>

#include "../cas_loop.h"
#include "../rounding.h"
#include "../scale.h"
#include "avx2.h"
#include "cells.h"
#include "lanes.h"
#include "wide.h"

namespace atomics::cpu {

// A run of elements of the operands: cells, others and, if N is 3, where the old values go.
template <size_t N>
struct Run {
  std::array<char*, N> at;
  std::array<int64_t, N> step;  // in bytes

  void advance(int64_t n) {
    for (size_t k = 0; k < N; ++k) at[k] += n * step[k];
  }
};

// Words in a batch: a cache line of wide ones.
constexpr int64_t kBatch = 4;

// Gets the line of a word that comes later, about as far ahead as memory is away, so that it is
// owned when its turn comes. Nothing past the last word: what other threads use is not to be taken
// away.
template <class Word>
[[gnu::always_inline]] inline void prefetch(const char* at, int64_t words) {
  constexpr int64_t kAhead = 1024 / sizeof(Word);
  if (words > kAhead) __builtin_prefetch(at + 1024, 1);
}

// Calls f(0), f(1), ... f(n - 1), all of it inlined.
template <int64_t n>
using UpTo = std::make_integer_sequence<int64_t, n>;
template <int64_t... k, class F>
[[gnu::always_inline]] inline void unrolled(std::integer_sequence<int64_t, k...>, F&& f) {
  (f(k), ...);
}

// Neighbouring words that are calculated together: a locked instruction overlaps with nothing, so
// what comes before it is better waited for once than for each.
template <class Word, int64_t words>
struct Batch {
  std::array<Block<Word>, words> before;
  std::array<Block<Word>, words> after;

  [[gnu::always_inline]] explicit Batch(const char* at) {
    unrolled(UpTo<words>{}, [&](int64_t k) __attribute__((always_inline)) {
      before[k] = load_block<Word>(at + k * int64_t{sizeof(Word)});
    });
  }

  // Replaces `before` by `after`; where another thread was faster, what is there now by
  // again(k, what is there now). From then on `before` is what was replaced.
  template <class Again>
  [[gnu::always_inline]] void swap(char* at, Again&& again) {
    unrolled(UpTo<words>{}, [&](int64_t k) __attribute__((always_inline)) {
      char* const word = at + k * int64_t{sizeof(Word)};
      const auto again_k = [&](Block<Word> now)
                               __attribute__((always_inline)) { return again(k, now); };
      const auto try_swap = [&](Block<Word>& expected, Block<Word> desired)
                                __attribute__((always_inline)) {
                                  if (swap_word<Word>(word, expected, desired)) [[likely]]
                                    return true;
                                  expected = load_block<Word>(word);
                                  return false;
                                };
      update_from(before[k], after[k], again_k, try_swap);
    });
  }
};

// What words of cells are combined with, as values of `L`: neighbours, or one element for all. Of
// at least one word: the first element is read.
template <class L, class Other, class Scale>
class Others {
 public:
  template <size_t N>
  [[gnu::always_inline]] Others(const Run<N>& run, Scale scale)
      : same_(run.step[1] == 0),
        scaled_(scale.template on_lanes<L>()),
        all_(scaled_(L::all(as<Other>(run.at[1])))) {}

  // Those of word `k` behind `at`.
  [[gnu::always_inline]] typename L::Values operator()(const char* at, int64_t k) const {
    return same_ ? all_ : scaled_(L::read(reinterpret_cast<const Other*>(at) + k * L::kCount));
  }

 private:
  bool same_;
  decltype(std::declval<Scale>().template on_lanes<L>()) scaled_;
  typename L::Values all_;
};

// `after(k, before)` is what word `k` of a batch becomes.
template <int64_t batch_words, class Word, class C, size_t N, class After>
[[gnu::always_inline]] inline void update_batches(Run<N>& run, int64_t& words, After&& after) {
  constexpr int64_t kCells = batch_words * sizeof(Word) / sizeof(C);
  for (; words >= batch_words; words -= batch_words, run.advance(kCells)) {
    prefetch<Word>(run.at[0], words);
    Batch<Word, batch_words> batch(run.at[0]);
    unrolled(UpTo<batch_words>{}, [&](int64_t k) __attribute__((always_inline)) {
      batch.after[k] = after(k, batch.before[k]);
    });
    batch.swap(run.at[0], after);
    if constexpr (N == 3) std::memcpy(run.at[2], &batch.before, sizeof(batch.before));
  }
}

// The first cell is aligned to a word.
template <class Op, class C, class Other, class Word, size_t N, class Scale, class Round>
[[gnu::always_inline]] inline void update_words(Run<N>& whole, int64_t words, Scale scale,
                                                Round round) {
  using L = Lanes<C, Word>;
  Run<N> run = whole;  // in registers
  const Others<L, Other, Scale> others(run, scale);
  const auto after = [&](int64_t k, Block<Word> before) __attribute__((always_inline)) {
    return round.template pack<L>(Op::combine(L::unpack(before), others(run.at[1], k)),
                                  run.at[0] + k * static_cast<int64_t>(sizeof(Word)));
  };
  update_batches<kBatch, Word, C>(run, words, after);
  update_batches<1, Word, C>(run, words, after);
  whole = run;
}

template <class Op, class C, class Other, size_t N, class Scale, class Round>
ATOMICS_WIDE void update_any_words(Run<N>& run, int64_t words, Scale scale, Round round) {
  update_words<Op, C, Other, WideWord>(run, words, scale, round);
}

#ifdef __x86_64__

// 16-bit floats, rounded to the nearest.
template <class Op, class C, class Other, size_t N, class Scale>
ATOMICS_AVX2 void update_small_floats(Run<N>& whole, int64_t words, Scale scale) {
  using L = Lanes<C, WideWord>;
  Run<N> run = whole;  // in registers
  const Others<L, Other, Scale> others(run, scale);
  const auto scaled = scale.template on_lanes<L>();
  const bool same = run.step[1] == 0;
  const __m256 all = _mm256_set1_ps(scale(static_cast<float>(as<Other>(run.at[1]))));
  const auto one = [&](int64_t k, WideBlock before) __attribute__((always_inline)) {
    return L::pack(Op::combine(L::unpack(before), others(run.at[1], k)));
  };
  for (; words >= 2; words -= 2, run.advance(2 * L::kCount)) {
    prefetch<WideWord>(run.at[0], words);
    Batch<WideWord, 2> batch(run.at[0]);
    Pair other{all, all};
    if (!same) {
      other = Pairs<C>::read(&as<Other>(run.at[1]));
      if constexpr (!std::is_same_v<Scale, Unscaled>) other = in_halves(scaled, other);
    }
    const Pair before = Pairs<C>::unpack(batch.before[0], batch.before[1]);
    Pairs<C>::pack(combine<Op>(before, other), batch.after.data());
    batch.swap(run.at[0], one);
    if constexpr (N == 3) std::memcpy(run.at[2], &batch.before, sizeof(batch.before));
  }
  update_batches<1, WideWord, C>(run, words, one);
  whole = run;
}

#endif

template <class Op, class C, class Other, size_t N, class Scale, class Round>
void update_wide_words(Run<N>& run, int64_t words, Scale scale, Round round) {
#ifdef __x86_64__
  if constexpr (!std::is_same_v<C, Widened<C>> && std::is_same_v<Round, Nearest>) {
    if (has_avx2()) return update_small_floats<Op, C, Other>(run, words, scale);
  }
#endif
  update_any_words<Op, C, Other>(run, words, scale, round);
}

}  // namespace atomics::cpu
