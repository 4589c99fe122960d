// add_ and its family: changes every element of a target and returns nothing.
#include "../dense.h"
#include "cells.cuh"
#include "reach.cuh"
#include "runs.cuh"
#include "words.cuh"

namespace atomics::cuda {

namespace {

// What is added where an op does something else: a difference is the sum with what is negated,
// exactly.
template <class T, class Scale>
struct Negated {
  Scale scale;
  ATOMICS_HD auto operator()(Widened<T> other) const { return -scale(other); }
};

template <class T, class Scale>
Scale addend(Add, Scale scale) {
  return scale;
}
template <class T, class Scale>
Negated<T, Scale> addend(Sub, Scale scale) {
  return {scale};
}

// Of dense operands, word by word. The words are those of the target; the elements of `other` that
// belong to one need not be aligned like it.
template <class T, class Scale>
__global__ void add_words(thread_scope scope, T* target, const T* other, Words words, Scale scale) {
  constexpr int kElements = sizeof(Word) / sizeof(T);
  const int64_t edges = words.before + words.after;
  const int64_t n = words.before + words.count * kElements;
  for (int64_t i = first_of_thread(); i < edges; i += threads_of_grid()) {
    const int64_t at = i < words.before ? i : n + i - words.before;
    in_scope<Bulk>(scope, target + at, [&](const auto& cell) {
      cell.fetch_add(scale(static_cast<Widened<T>>(other[at])));
    });
  }
  const bool aligned = reinterpret_cast<uintptr_t>(other + words.before) % kWord == 0;
  for (int64_t i = first_of_thread(); i < words.count; i += threads_of_grid()) {
    const int64_t at = words.before + i * kElements;
    Word word;
    if (aligned) {
      word = *reinterpret_cast<const Word*>(other + at);
    } else {
      auto* const elements = reinterpret_cast<T*>(word.bits);
      for (int k = 0; k < kElements; ++k) elements[k] = other[at + k];
    }
    add_scaled_word(scope, target + at, word, scale);
  }
}

// (target, other), see visit.h
template <class Op, class Scale>
struct VisitRandomly {
  Scale scale;
  Stochastic round;

  template <class Cell, class At>
  __device__ void operator()(const Cell& cell, const At& at) const {
    using Wide = typename Cell::operand_type;
    const auto other = static_cast<Wide>(as<typename Cell::value_type>(at[1]));
    round.template apply<Op>(cell, scale(other), at[0]);
  }
};

struct Machine : OnGpu {
  static void check_addend(const char* op, const View& target, const View& other) {
    check_peer(op, target, other);
    check_elementwise(op, target, {other});
  }

  template <class Op, class C, class Scale>
  static void update(const Tensor& on, const std::array<Operand, 2>& operands, int64_t numel,
                     Scale scale, Stochastic round) {
    if (Launch(Op::kUpdate, on, nullptr).is_captured()) {
      fail(Op::kUpdate, "seed",
           "be None in a call that is captured, of which all replays would round alike",
           "a number");
    }
    const VisitRandomly<Op, Scale> visit_one{scale, round};
    if (combine_run<Op, C>(Op::kUpdate, on, operands, numel, scale, round, visit_one)) return;
    visit<C>(Op::kUpdate, on, operands, numel, visit_one);
  }

  template <class Op, class C, class Scale>
  static void update(const Tensor& on, const std::array<Operand, 2>& operands, int64_t numel,
                     Scale scale, Nearest) {
    constexpr bool kIsSum = std::is_same_v<Op, Add> || std::is_same_v<Op, Sub>;
    if constexpr (kIsSum && kAddsWords<C, Scale>) {
      if (const Walk<2> walk(operands);
          numel > 1 && walk.is_run(sizeof(C)) && walk.step(1) == sizeof(C)) {
        char* const target = operands[0].data;
        const auto more = addend<C>(Op{}, scale);
        const Words words(reinterpret_cast<uintptr_t>(target), sizeof(C), numel, kWord);
        const Launch launch(Op::kUpdate, on, target);
        return launch(add_words<C, decltype(more)>,
                      std::max(words.count, words.before + words.after),
                      reinterpret_cast<C*>(target), reinterpret_cast<const C*>(operands[1].data),
                      words, more);
      }
    }
    const VisitRed<Op, Scale> visit_one{scale};
    if (combine_run<Op, C>(Op::kUpdate, on, operands, numel, scale, Nearest{}, visit_one)) return;
    visit<C>(Op::kUpdate, on, operands, numel, visit_one);
  }
};

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CUDA, m) { implement(m, UpdateKernels<Machine>{}); }

}  // namespace atomics::cuda
