// Applies an op to every cell of a target, a word of neighbours at a time where there are any.
#pragma once

#include <algorithm>

#include "cells.h"
#include "wide.h"

namespace atomics::cpu {

// What is done to `other` before the op: nothing, which keeps every bit, or a multiplication.
struct Unscaled {
  template <class V>
  V operator()(V other) const {
    return other;
  }
};

template <class T>
struct ScaledBy {
  T alpha;

  T operator()(T other) const { return wrapping_multiply(alpha, other); }
  typename Lanes<T>::Vector operator()(typename Lanes<T>::Vector other) const {
    return static_cast<typename Lanes<T>::Lane>(alpha) * other;
  }
};

// A run of elements of the operands: cells, others and, if N is 3, where the old values go.
template <size_t N>
struct Run {
  std::array<char*, N> at;
  std::array<int64_t, N> step;  // in bytes

  void advance(int64_t n) {
    for (size_t k = 0; k < N; ++k) at[k] += n * step[k];
  }
};

template <class Op, class T, class Order, size_t N, class Scale>
void update_each(Run<N>& run, int64_t n, Scale scale) {
  for (; n > 0; --n, run.advance(1)) {
    const Ref<T, Order> cell(&as<T>(run.at[0]));
    const T old = Op::apply(cell, scale(as<T>(run.at[1])));
    if constexpr (N == 3) as<T>(run.at[2]) = old;
  }
}

// The first cell is aligned to a word, and neighbours are neighbours in all operands, or `other` is
// one element for all.
template <class Op, class T, size_t N, class Scale>
ATOMICS_WIDE void update_words(Run<N>& run, int64_t words, Scale scale) {
  using L = Lanes<T>;
  using Vector = typename L::Vector;
  // About as far ahead as memory is away: the line is owned when its turn comes.
  constexpr int64_t kAhead = 1024;
  const bool same = run.step[1] == 0;
  const Vector all = scale(L::all(run.at[1]));
  for (; words > 0; --words, run.advance(L::kCount)) {
    __builtin_prefetch(run.at[0] + kAhead, 1);
    const Vector other = same ? all : scale(L::read(run.at[1]));
    const Vector old =
        update_word<Vector>(run.at[0], [&](Vector before) { return Op::combine(before, other); });
    if constexpr (N == 3) std::memcpy(run.at[2], &old, sizeof(old));
  }
}

template <class Op, class T, size_t N, class Scale>
void update_run(Run<N> run, int64_t n, Scale scale) {
  using L = Lanes<T>;
  constexpr int64_t kSize = sizeof(T);
  bool neighbours = L::kCount > 1 && run.step[0] == kSize;
  if (run.step[1] != 0) neighbours = neighbours && run.step[1] == kSize;
  if (neighbours && has_wide()) {
    // No byte outside the target is ever written: the ends are done one by one.
    const auto past = reinterpret_cast<uintptr_t>(run.at[0]) % sizeof(Word);
    const auto first = static_cast<int64_t>((sizeof(Word) - past) % sizeof(Word)) / kSize;
    const int64_t edge = std::min(n, first);
    update_each<Op, T, Bulk>(run, edge, scale);
    const int64_t words = (n - edge) / L::kCount;
    update_words<Op, T>(run, words, scale);
    n -= edge + words * L::kCount;
  }
  update_each<Op, T, Bulk>(run, n, scale);
}

// operands: cells, others and, if there are three, where the old values go.
template <class Op, class T, size_t N, class Scale>
void update_cells(const std::array<Operand, N>& operands, int64_t numel, Scale scale) {
  for_each_run(operands, [&](auto at, auto step, int64_t n) {
    Run<N> run{at, step};
    if (numel == 1) {
      update_each<Op, T, Single>(run, n, scale);
    } else {
      update_run<Op, T>(run, n, scale);
    }
  });
}

}  // namespace atomics::cpu
