// Runs of cells that lie side by side, where a thread has several under way: the loops of large
// calls. Elements are atomic each for itself, as in any other call.
#pragma once

#include <bit>

#include "../rounding.h"
#include "../visit.h"
#include "launch.cuh"
#include "ref.cuh"
#include "walk.h"

namespace atomics::cuda {

template <class C>
struct Run {
  // Of (target, other) or (target, other, old) that are one run.
  template <size_t N>
  Run(const Walk<N>& walk, int64_t numel)
      : target(walk.data(0)), other(walk.data(1)), other_step(walk.step(1)), numel(numel) {
    if constexpr (N == 3) old = walk.data(2);
  }

  __device__ C* cell(int64_t i) const { return reinterpret_cast<C*>(target) + i; }
  __device__ C other_of(int64_t i) const {
    return *reinterpret_cast<const C*>(other + i * other_step);
  }
  __device__ void found(int64_t i, C value) const {
    if (old != nullptr) reinterpret_cast<C*>(old)[i] = value;
  }

  char* target;
  const char* other;
  int64_t other_step;   // bytes
  char* old = nullptr;  // or where what was there goes
  int64_t numel;
};

constexpr int kAtOnce = 4;  // cells of a thread

// The operands are read and all updates sent before the first result is waited for. The cells of a
// thread are a grid apart, so that those of a warp are neighbours.
template <class C, class Visit>
__global__ void visit_run(thread_scope scope, Run<C> run, Visit visit) {
  const int64_t threads = threads_of_grid();
  for (int64_t first = first_of_thread(); first < run.numel; first += kAtOnce * threads) {
    C other[kAtOnce]{};
    C old[kAtOnce]{};
    const auto each = [&](auto&& f) {
#pragma unroll
      for (int k = 0; k < kAtOnce; ++k) {
        if (const int64_t i = first + k * threads; i < run.numel) f(k, i);
      }
    };
    each([&](int k, int64_t i) { other[k] = run.other_of(i); });
    each([&](int k, int64_t i) {
      in_scope<Bulk>(scope, run.cell(i), [&](const auto& cell) {
        char* const at[] = {reinterpret_cast<char*>(run.cell(i)),
                            reinterpret_cast<char*>(&other[k]), reinterpret_cast<char*>(&old[k])};
        visit(cell, at);
      });
    });
    each([&](int k, int64_t i) { run.found(i, old[k]); });
  }
}

// Cells of 8 and 16 bits are compared and exchanged 8 bytes at a time: neighbours are the thread's
// own, and not those of the next lane, which would have it try again.
constexpr int64_t kSwapped = 8;

template <class C>
struct Cells {
  static constexpr int kCount = kSwapped / sizeof(C);
  C values[kCount];
};

// Puts Op(cell, scale(other)) into the cells from `at` on, and returns what they held.
template <class Op, class C, class Scale, class Round>
__device__ Cells<C> combine_word(thread_scope scope, char* at, const Cells<C>& other, Scale scale,
                                 Round round) {
  return in_scope<Bulk>(scope, reinterpret_cast<uint64_t*>(at), [&](const auto& word) {
    const uint64_t old = word.fetch_update([&](uint64_t before) {
      auto cells = std::bit_cast<Cells<C>>(before);
#pragma unroll
      for (int k = 0; k < Cells<C>::kCount; ++k) {
        const auto with = scale(static_cast<Widened<C>>(other.values[k]));
        cells.values[k] = round.template combine<Op>(cells.values[k], with, at + k * sizeof(C));
      }
      return std::bit_cast<uint64_t>(cells);
    });
    return std::bit_cast<Cells<C>>(old);
  });
}

template <class C, class Op, class Scale, class Round>
__global__ void combine_words(thread_scope scope, Run<C> run, Words words, Scale scale,
                              Round round) {
  const int64_t edges = words.before + words.after;
  for (int64_t k = first_of_thread(); k < edges; k += threads_of_grid()) {
    const int64_t i = k < words.before ? k : run.numel - edges + k;
    const auto with = scale(static_cast<Widened<C>>(run.other_of(i)));
    in_scope<Bulk>(scope, run.cell(i), [&](const auto& cell) {
      const auto* const at = reinterpret_cast<const char*>(run.cell(i));
      run.found(i, round.template apply<Op>(cell, with, at));
    });
  }
  for (int64_t k = first_of_thread(); k < words.count; k += threads_of_grid()) {
    const int64_t first = words.before + k * Cells<C>::kCount;
    Cells<C> other;
#pragma unroll
    for (int j = 0; j < Cells<C>::kCount; ++j) other.values[j] = run.other_of(first + j);
    auto* const at = reinterpret_cast<char*>(run.cell(first));
    const auto old = combine_word<Op>(scope, at, other, scale, round);
#pragma unroll
    for (int j = 0; j < Cells<C>::kCount; ++j) run.found(first + j, old.values[j]);
  }
}

// Whether (target, other) or (target, other, old) of more than one element are a run, of which it
// then has Op(target, scale(other)) done.
template <class Op, class C, class Visit, size_t N, class Scale, class Round>
bool combine_run(const char* op, const Tensor& on, const std::array<Operand, N>& operands,
                 int64_t numel, Scale scale, Round round, Visit visit) {
  if (numel < 2) return false;
  const Walk<N> walk(operands);
  if (!walk.is_run(sizeof(C))) return false;
  const Run<C> run(walk, numel);
  const Launch launch(op, on, run.target);
  if constexpr (sizeof(C) < 4) {
    const Words words(reinterpret_cast<uintptr_t>(run.target), sizeof(C), numel, kSwapped);
    launch(combine_words<C, Op, Scale, Round>, std::max(words.count, words.before + words.after),
           run, words, scale, round);
  } else {
    launch(visit_run<C, Visit>, (numel + kAtOnce - 1) / kAtOnce, run, visit);
  }
  return true;
}

}  // namespace atomics::cuda
