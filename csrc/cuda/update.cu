// add_ and its family: changes every element of a target and returns nothing. The meaning of an op
// is in csrc/ops.
#include "../dispatch.h"
#include "../register.h"
#include "../rounding.h"
#include "../visit.h"
#include "cells.cuh"
#include "reach.cuh"
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

template <class Op, class T, class Scale>
void update(const View& cells, const View& values, Scale scale) {
  using C = typename Op::template Cell<T>;
  if (cells.numel == 0) return;
  const std::array operands{writable(cells), readable(values)};
  const Launch launch(Op::kUpdate, values.tensor, operands[0].data);
  const Walk<2> walk(operands);
  if constexpr (kAddsWords<T, Scale>) {
    if (cells.numel > 1 && walk.is_dense(sizeof(T))) {
      const auto more = addend<T>(Op{}, scale);
      const Words words(reinterpret_cast<uintptr_t>(walk.data(0)), sizeof(T), cells.numel, kWord);
      return launch(add_words<T, decltype(more)>, std::max(words.count, words.before + words.after),
                    reinterpret_cast<T*>(walk.data(0)), reinterpret_cast<const T*>(walk.data(1)),
                    words, more);
    }
  }
  launch(visit_cells<C, 2, VisitRed<Op, Scale>>, cells.numel, walk, cells.numel,
         VisitRed<Op, Scale>{scale});
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

template <class Op, class T>
void update_randomly(const View& cells, const View& values, double alpha, int64_t seed) {
  const std::array operands{writable(cells), readable(values)};
  const VisitRandomly<Op, ScaledBy<T>> visit{scaled_by<T>(alpha), {seed, operands[0].data}};
  for_each_cell<T>(Op::kUpdate, values.tensor, operands, cells.numel, visit);
}

template <class Op>
struct UpdateKernel {
  static std::string name() { return Op::kUpdate; }

  static void call(const Tensor& target, const Tensor& other) {
    const View cells("target", target);
    const View values("other", other);
    check_dtype(Op::kUpdate, cells, TypesOf<Op>{});
    check_operands(Op::kUpdate, cells, {values});
    dispatch(TypesOf<Op>{}, cells.dtype, [&]<class T>() {
      for_each_cell<typename Op::template Cell<T>, 2>(Op::kUpdate, target,
                                                      {writable(cells), readable(values)},
                                                      cells.numel, VisitRed<Op, Unscaled>{});
    });
  }
};

template <class Op>
struct ScaledUpdateKernel {
  static std::string name() { return Op::kUpdate; }

  static void call(const Tensor& target, const Tensor& other, double alpha,
                   std::optional<int64_t> seed) {
    const View cells("target", target);
    const View values("other", other);
    check_dtype(Op::kUpdate, cells, TypesOf<Op>{});
    check_alpha(Op::kUpdate, cells.dtype, alpha);
    check_seed(Op::kUpdate, cells.dtype, seed);
    check_peer(Op::kUpdate, cells, values);
    check_elementwise(Op::kUpdate, cells, {values});
    dispatch(TypesOf<Op>{}, cells.dtype, [&]<class T>() {
      if constexpr (!std::is_same_v<T, Widened<T>>) {
        if (seed) return update_randomly<Op, T>(cells, values, alpha, *seed);
      }
      if (alpha == 1) {
        update<Op, T>(cells, values, Unscaled{});
      } else {
        update<Op, T>(cells, values, scaled_by<typename Op::template Cell<T>>(alpha));
      }
    });
  }
};

template <class... Scaled, class... Plain>
auto kernels(TypeList<Scaled...>, TypeList<Plain...>)
    -> TypeList<ScaledUpdateKernel<Scaled>..., UpdateKernel<Plain>...>;
using Kernels = decltype(kernels(ScaledUpdateOps{}, UpdateOps{}));

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CUDA, m) { implement(m, Kernels{}); }

}  // namespace atomics::cuda
