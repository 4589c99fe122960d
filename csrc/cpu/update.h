// Applies an op to every cell of a target, a word of neighbours at a time where there are any.
#pragma once

#include <algorithm>

#include "../rounding.h"
#include "../scale.h"
#include "cells.h"
#include "parallel.h"
#include "words.h"

namespace atomics::cpu {

// `Other` is the type of the elements of operand 1: C, or what sums of it are kept in.
template <class Op, class C, class Other, class Order, size_t N, class Scale, class Round>
void update_each(Run<N>& run, int64_t n, Scale scale, Round round) {
  for (; n > 0; --n, run.advance(1)) {
    const Ref<C, Order> cell(&as<C>(run.at[0]));
    const C old = round.template apply<Op>(
        cell, scale(static_cast<Widened<C>>(as<Other>(run.at[1]))), run.at[0]);
    if constexpr (N == 3) as<C>(run.at[2]) = old;
  }
}

template <class Op, class C, class Other = C, size_t N, class Scale, class Round = Nearest>
void update_run(Run<N> run, int64_t n, Scale scale, Round round = {}) {
  constexpr int64_t kSize = sizeof(C);
  bool neighbours = run.step[0] == kSize;
  if (run.step[1] != 0) neighbours = neighbours && run.step[1] == sizeof(Other);
  if constexpr (N == 3) neighbours = neighbours && run.step[2] == kSize;

  const auto update = [&]<class Word>(Word) {
    // No byte outside the target is ever written: the ends are done one by one.
    constexpr int64_t kCells = sizeof(Word) / kSize;
    const auto past = reinterpret_cast<uintptr_t>(run.at[0]) / kSize % kCells;
    const int64_t edge = std::min(n, (kCells - static_cast<int64_t>(past)) % kCells);
    if (edge != 0) update_each<Op, C, Other, Bulk>(run, edge, scale, round);
    const int64_t words = (n - edge) / kCells;
    n -= edge + words * kCells;
    // Not one operand element may be read that is not needed.
    if (words == 0) return;
    if constexpr (sizeof(Word) == sizeof(WideWord)) {
      update_wide_words<Op, C, Other>(run, words, scale, round);
    } else {
      update_words<Op, C, Other, Word>(run, words, scale, round);
    }
  };
  if (neighbours && has_wide()) {
    update(WideWord{});
  } else if (neighbours && kSize < sizeof(NarrowWord)) {
    update(NarrowWord{});
  }
  update_each<Op, C, Other, Bulk>(run, n, scale, round);
}

// operands: cells, others and, if there are three, where the old values go.
template <class Op, class C, class Other = C, size_t N, class Scale, class Round = Nearest>
void update_cells(const std::array<Operand, N>& operands, int64_t numel, Scale scale,
                  Round round = {}) {
  for_each_part(operands, numel, [&](const auto& part) {
    for_each_run(part, [&](auto at, auto step, int64_t n) {
      Run<N> run{at, step};
      if (numel == 1) {
        update_each<Op, C, Other, Single>(run, n, scale, round);
      } else {
        update_run<Op, C, Other>(run, n, scale, round);
      }
    });
  });
}

}  // namespace atomics::cpu
