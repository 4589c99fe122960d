// Lock-free ops on indexed rows of dim 0. Equal indices of a call are combined before the update.
#include <algorithm>
#include <numeric>

#include "../check.h"
#include "../dispatch.h"
#include "../register.h"
#include "cells.h"
#include "group.h"
#include "update.h"

namespace atomics::cpu {

namespace {

// One row of a tensor: the dimensions after the first.
Operand row_of(const Operand& whole, int64_t row) {
  return {whole.data + row * whole.strides[0] * whole.itemsize, whole.itemsize, whole.dim - 1,
          whole.sizes + 1, whole.strides + 1};
}

// A private copy: another process may change the index between the check and the update.
std::vector<int64_t> copy_index(const char* op, const View& index, int64_t row_count) {
  std::vector<int64_t> copy(static_cast<size_t>(index.numel));
  if (copy.empty()) return copy;
  dispatch(Integers{}, index.dtype, [&]<class T>() {
    const auto* data = static_cast<const T*>(index.tensor.const_data_ptr());
    const int64_t stride = index.strides[0];
    for (size_t i = 0; i < copy.size(); ++i) copy[i] = data[static_cast<int64_t>(i) * stride];
  });
  for (const int64_t row : copy) {
    if (row < 0 || row >= row_count) {
      fail(op, index.name, "lie in [0, " + std::to_string(row_count) + ")", std::to_string(row));
    }
  }
  return copy;
}

// Rows of one element: sum per group, then one atomic update per group.
template <class Op, class T>
void update_elements(const Operand& cells, const Operand& source, const Groups& groups, T alpha) {
  std::vector<T> sums(groups.rows.size());
  for (size_t i = 0; i < groups.group.size(); ++i) {
    T& sum = sums[groups.group[i]];
    sum = wrapping_add(sum, as<T>(row_of(source, static_cast<int64_t>(i)).data));
  }
  for (size_t g = 0; g < sums.size(); ++g) {
    const Ref<T, Bulk> cell(&as<T>(row_of(cells, groups.rows[g]).data));
    Op::apply(cell, wrapping_multiply(alpha, sums[g]));
  }
}

// Calls visit(group, first, last) with the positions in the call of each group's members, in order.
template <class Visit>
void for_each_group(const Groups& groups, Visit&& visit) {
  std::vector<uint32_t> end(groups.rows.size() + 1);
  for (const uint32_t g : groups.group) ++end[g + 1];
  std::partial_sum(end.begin(), end.end(), end.begin());
  std::vector<uint32_t> member(groups.group.size());
  for (size_t i = 0; i < member.size(); ++i) {
    member[end[groups.group[i]]++] = static_cast<uint32_t>(i);
  }
  const uint32_t* first = member.data();
  for (size_t g = 0; g < groups.rows.size(); ++g) {
    const uint32_t* const last = member.data() + end[g];
    visit(g, first, last);
    first = last;
  }
}

// Longer rows: the source rows of a group are summed into a row of our own, unless there is one.
template <class Op, class T>
void update_rows(const Operand& cells, const Operand& source, const Groups& groups, T alpha,
                 int64_t width) {
  std::vector<T> sums(static_cast<size_t>(width));
  std::vector<int64_t> strides(static_cast<size_t>(cells.dim - 1), 1);
  for (int64_t d = cells.dim - 2; d > 0; --d) strides[d - 1] = strides[d] * cells.sizes[d + 1];
  // A row of bytes until the walk gives it its type back.
  auto* const bytes = reinterpret_cast<char*>(sums.data());
  const Operand sum{bytes, sizeof(T), cells.dim - 1, cells.sizes + 1, strides.data()};

  for_each_group(groups, [&](size_t g, const uint32_t* first, const uint32_t* last) {
    Operand other = row_of(source, *first);
    if (last - first > 1) {
      std::fill(sums.begin(), sums.end(), T{});
      for (; first != last; ++first) {
        for_each_run<2>({sum, row_of(source, *first)}, [](auto at, auto step, int64_t n) {
          for (int64_t i = 0; i < n; ++i, at[0] += step[0], at[1] += step[1]) {
            as<T>(at[0]) = wrapping_add(as<T>(at[0]), as<T>(at[1]));
          }
        });
      }
      other = sum;
    }
    update_cells<Op, T, 2>({row_of(cells, groups.rows[g]), other}, width, ScaledBy<T>{alpha});
  });
}

template <class Op>
struct IndexUpdateKernel {
  static std::string name() { return Op::kIndexUpdate; }

  static void call(Tensor target, int64_t dim, Tensor index, Tensor source, double alpha) {
    constexpr auto kName = Op::kIndexUpdate;
    const View cells("target", target);
    const View rows("index", index);
    const View values("source", source);
    check_device(kName, target, "index", index);
    check_device(kName, target, "source", source);
    check_dtype(kName, cells, Arithmetic{});
    check_dtype(kName, rows, Integers{});
    check_same_dtype(kName, target, "source", source);
    check_alpha(kName, cells, alpha);
    check_indexed_shapes(kName, cells, dim, rows, values);
    check_memory(kName, cells);
    check_memory(kName, rows);
    check_memory(kName, values);
    check_no_internal_overlap(kName, cells);
    check_no_overlap(kName, cells, values);
    const auto copy = copy_index(kName, rows, cells.sizes[0]);
    if (values.numel == 0) return;
    const Groups groups = group_equal(copy, cells.sizes[0]);

    const int64_t width = values.numel / rows.numel;
    dispatch(Arithmetic{}, cells.dtype, [&]<class T>() {
      const auto factor = static_cast<T>(alpha);
      if (width == 1) {
        update_elements<Op, T>(writable(cells), readable(values), groups, factor);
      } else {
        update_rows<Op, T>(writable(cells), readable(values), groups, factor, width);
      }
    });
  }
};

template <class... Ops>
auto kernels(TypeList<Ops...>) -> TypeList<IndexUpdateKernel<Ops>...>;
using Kernels = decltype(kernels(IndexUpdateOps{}));

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CPU, m) { implement(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Negative, m) { refuse<NegativeView>(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Conjugate, m) { refuse<ConjugateView>(m, Kernels{}); }

}  // namespace atomics::cpu
