// index_add_ and its family: changes indexed rows of dim 0 and returns nothing. Rows that are named
// several times are changed by each of their sources, in any order.
#include <array>
#include <bit>

#include "reach.cuh"
#include "rows.cuh"
#include "runs.cuh"
#include "warp.cuh"
#include "warp.h"
#include "words.cuh"

namespace atomics::cuda {

namespace {

// Rows of one number, a histogram, of the sizes that a GPU adds to. Of integers the lanes of a warp
// that name one row add once: the sum wraps as that of single additions does, where that of floats
// would be rounded otherwise.
template <class C>
constexpr bool kCounts = sizeof(C) >= 4;

template <class C, class Index, class Scale>
__global__ void add_counts(thread_scope scope, char* target, const char* source,
                           int64_t source_step, int64_t numel, RowIndex<Index> of, Scale scale) {
  const auto add = [&](int64_t offset, C other) {
    char* const at[] = {target + offset, reinterpret_cast<char*>(&other)};
    in_scope<Bulk>(scope, &as<C>(at[0]),
                   [&](const auto& cell) { VisitRed<Add, Unscaled>{}(cell, at); });
  };
  const Warp warp;
  for (int64_t i = first_of_thread(); warp.any(i < numel); i += threads_of_grid()) {
    const int64_t offset = i < numel ? of.offset(i) : -1;
    [[maybe_unused]] const uint32_t lanes = warp.those(offset >= 0);
    if (offset < 0) continue;
    const C other = scale(*reinterpret_cast<const C*>(source + i * source_step));
    if constexpr (std::is_integral_v<C>) {
      const auto sum = sum_of_group(warp, warp.peers(lanes, offset), other);
      if (sum.leads) add(offset, sum.total);
    } else {
      add(offset, other);
    }
  }
}

// Rows of floats without gaps, each of whole words.
template <class C, class Index, class Scale>
__global__ void add_row_words(thread_scope scope, char* target, const Word* source, int64_t words,
                              RowIndex<Index> of, Scale scale) {
  constexpr int64_t kElements = sizeof(Word) / sizeof(C);
  const int64_t row_words = of.width / kElements;
  for (int64_t i = first_of_thread(); i < words; i += threads_of_grid()) {
    const int64_t offset = of.offset(i * kElements);
    if (offset < 0) continue;
    char* const at = target + offset + (i - quotient(i, row_words) * row_words) * kWord;
    if constexpr (kAddsWords<C, Scale>) {
      add_scaled_word(scope, &as<C>(at), source[i], scale);
    } else {
      const auto swapped = std::bit_cast<std::array<Cells<C>, kWord / kSwapped>>(source[i]);
      for (size_t k = 0; k < swapped.size(); ++k) {
        combine_word<Add>(scope, at + k * kSwapped, swapped[k], scale, Nearest{});
      }
    }
  }
}

// Whether both are such rows, of words that are aligned.
bool are_words(const View& cells, const char* target, const View& values) {
  const auto is_word = [](int64_t bytes) { return bytes % kWord == 0; };
  return values.tensor.is_contiguous() && has_dense_rows(cells) &&
         is_word(values.numel / values.sizes[0] * values.itemsize) &&
         is_word(cells.strides[0] * cells.itemsize) &&
         is_word(reinterpret_cast<intptr_t>(target)) &&
         is_word(reinterpret_cast<intptr_t>(values.data));
}

struct Machine : OnRows {
  static void check_added_rows(const char* op, const View& target, int64_t dim, const View& index,
                               const View& source) {
    check_peer(op, target, source);
    check_device(op, source.tensor, index.name, index.tensor, source.name);
    check_indexed(op, target, dim, index, {source});
  }

  template <class Op, class C, class Scale>
  static void update_rows(const View& cells, const View& index, const View& values, Scale scale) {
    constexpr auto kName = Op::kIndexUpdate;
    if (values.numel == 0) return;
    char* const data = writable(cells).data;
    if constexpr (std::is_same_v<Op, Add> && kHasWord<C>) {
      if (are_words(cells, data, values)) {
        const Launch launch(kName, values.tensor, data);
        const int64_t words = values.numel * values.itemsize / kWord;
        dispatch(Indices{}, index.dtype, [&]<class Index>() {
          launch(add_row_words<C, Index, Scale>, words, data, static_cast<const Word*>(values.data),
                 words, row_index<Index>(kName, cells, index, values), scale);
        });
        return check_indices_now(kName, launch);
      }
    }
    if constexpr (std::is_same_v<Op, Add> && kCounts<C>) {
      if (values.numel == index.numel) {
        const Launch launch(kName, values.tensor, data);
        const Operand from = readable(values);
        dispatch(Indices{}, index.dtype, [&]<class Index>() {
          launch(add_counts<C, Index, Scale>, values.numel, data,
                 static_cast<const char*>(from.data), from.strides[0] * from.itemsize, values.numel,
                 row_index<Index>(kName, cells, index, values), scale);
        });
        return check_indices_now(kName, launch);
      }
    }
    for_each_row_cell<C, 1>(kName, cells, index, values, {readable(values)},
                            VisitRed<Op, Scale>{scale});
  }

  template <class Op, class C>
  static void add_rows(const View& cells, const View& index, const View& values, double alpha) {
    if (alpha == 1) {
      update_rows<Op, C>(cells, index, values, Unscaled{});
    } else {
      update_rows<Op, C>(cells, index, values, scaled_by<C>(alpha));
    }
  }
};

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CUDA, m) { implement(m, IndexUpdateKernels<Machine>{}); }

}  // namespace atomics::cuda
