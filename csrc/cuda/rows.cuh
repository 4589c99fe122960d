// Visits the cells of the rows that an index names together with the matching elements of sources.
#pragma once

#include <vector>

#include "../indexed.h"
#include "index_error.cuh"
#include "launch.cuh"
#include "ref.cuh"
#include "walk.h"

namespace atomics::cuda {

template <class Index>
struct RowIndex {
  const Index* index;
  int64_t index_step;  // elements
  int64_t rows;
  int64_t row_step;  // bytes
  int64_t width;     // elements of a row
  const char* op;
  IndexError* error;

  // The bytes from row 0 to the one of element `i` of the sources; -1, noted, if there is none.
  __device__ int64_t offset(int64_t i) const {
    const int64_t row = index[quotient(i, width) * index_step];
    if (row >= 0 && row < rows) return row * row_step;
    note(error, op, row, rows);
    return -1;
  }
};

template <class C, class Index, size_t N, class Visit>
__global__ void visit_rows(thread_scope scope, const Walk<N> walk, int64_t numel,
                           RowIndex<Index> of, Visit visit) {
  char* at[N];
  for (int64_t i = first_of_thread(); i < numel; i += threads_of_grid()) {
    const int64_t offset = of.offset(i);
    if (offset < 0) continue;
    walk.find(i, at);
    at[0] += offset;
    in_scope<Bulk>(scope, &as<C>(at[0]), [&](const auto& cell) { visit(cell, at); });
  }
}

// The rows of a target, in the shape of sources: all lie in row 0, which `offset` leads away from.
class RowZero {
 public:
  RowZero(const View& target, const View& source)
      : strides_(target.strides, target.strides + target.dim),
        operand_{writable(target).data, target.itemsize, source.dim, source.sizes,
                 strides_.data()} {
    strides_[0] = 0;
  }
  RowZero(const RowZero&) = delete;
  RowZero& operator=(const RowZero&) = delete;

  const Operand& operand() const { return operand_; }

 private:
  std::vector<int64_t> strides_;
  Operand operand_;
};

// Whether the elements of each row lie side by side.
inline bool has_dense_rows(const View& view) {
  int64_t step = 1;
  for (int64_t d = view.dim - 1; d > 0; --d) {
    if (view.sizes[d] != 1 && view.strides[d] != step) return false;
    step *= view.sizes[d];
  }
  return true;
}

// What a Machine is, see indexed.h, but for the loops.
struct OnRows {
  static Device device(const Tensor& target) { return target.device(); }

  static void check_rows(const char* op, const View& target, int64_t dim, const View& index,
                         std::initializer_list<View> sources) {
    check_device(op, target.tensor, index.name, index.tensor);
    for (const View& source : sources) check_device(op, target.tensor, source.name, source.tensor);
    check_indexed(op, target, dim, index, sources);
  }
};

template <class Index>
RowIndex<Index> row_index(const char* op, const View& target, const View& index,
                          const View& source) {
  return {.index = static_cast<const Index*>(index.data),
          .index_step = index.strides[0],
          .rows = target.sizes[0],
          .row_step = target.strides[0] * target.itemsize,
          .width = source.numel / index.numel,
          .op = op,
          .error = index_error(op)};
}

// Calls visit(cell, at) for each element of `source` and its cell, where `source` is; `others` are
// the operands after the target, of the shape of `source`.
template <class C, size_t N, class Visit>
void for_each_row_cell(const char* op, const View& cells, const View& index, const View& source,
                       const std::array<Operand, N>& others, Visit visit) {
  if (source.numel == 0) return;
  const RowZero zero(cells, source);
  const Launch launch(op, source.tensor, zero.operand().data);
  std::array<Operand, N + 1> operands{zero.operand()};
  std::copy(others.begin(), others.end(), operands.begin() + 1);
  const Walk<N + 1> walk(operands);
  dispatch(Indices{}, index.dtype, [&]<class Index>() {
    launch(visit_rows<C, Index, N + 1, Visit>, source.numel, walk, source.numel,
           row_index<Index>(op, cells, index, source), visit);
  });
  check_indices_now(op, launch);
}

}  // namespace atomics::cuda
