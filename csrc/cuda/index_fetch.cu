// index_fetch_add and its family: changes indexed rows of dim 0 and returns what was there. Of a
// row that is named several times, each source finds what another one left, in any order.
#include "../visit.h"
#include "rows.cuh"
#include "warp.cuh"
#include "warp.h"

namespace atomics::cuda {

namespace {

// Rows of one integer, counters: the lanes of a warp that name one row draw together, each its own
// part of what the group was given.
template <class C, class Index>
__global__ void draw(thread_scope scope, char* target, const char* source, int64_t source_step,
                     C* old, int64_t numel, RowIndex<Index> of) {
  const Warp warp;
  for (int64_t i = first_of_thread(); warp.any(i < numel); i += threads_of_grid()) {
    const int64_t offset = i < numel ? of.offset(i) : -1;
    const uint32_t lanes = warp.those(offset >= 0);
    if (offset < 0) continue;
    const C other = *reinterpret_cast<const C*>(source + i * source_step);
    const uint32_t peers = warp.peers(lanes, offset);
    const auto sum = sum_of_group(warp, peers, other);
    C first{};
    if (sum.leads) {
      first = in_scope<Bulk>(scope, &as<C>(target + offset),
                             [&](const auto& cell) { return Add::apply(cell, sum.total); });
    }
    first = warp.shuffle(peers, first, warp.lowest(peers));
    old[i] = static_cast<C>(first + sum.before);
  }
}

struct Machine : OnRows {
  template <class Op, class C>
  static void fetch_rows(const View& cells, const View& index, const View& values,
                         const Tensor& old) {
    constexpr auto kName = Op::kIndexFetch;
    if constexpr (std::is_same_v<Op, Add> && std::is_integral_v<C> && sizeof(C) >= 4) {
      if (values.numel == index.numel && values.numel != 0) {
        char* const data = writable(cells).data;
        const Launch launch(kName, values.tensor, data);
        const Operand from = readable(values);
        dispatch(Indices{}, index.dtype, [&]<class Index>() {
          launch(draw<C, Index>, values.numel, data, static_cast<const char*>(from.data),
                 from.strides[0] * from.itemsize, static_cast<C*>(old.mutable_data_ptr()),
                 values.numel, row_index<Index>(kName, cells, index, values));
        });
        return check_indices_now(kName, launch);
      }
    }
    for_each_row_cell<C, 2>(kName, cells, index, values, {readable(values), fresh(old, values)},
                            VisitFetch<Op>{});
  }

  template <class C>
  static void compare_exchange_rows(const View& cells, const View& index, const View& values,
                                    const std::array<Operand, 4>& others) {
    for_each_row_cell<C, 4>(CompareExchange::kIndex, cells, index, values, others,
                            VisitCompareExchange{});
  }
};

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CUDA, m) { implement(m, IndexFetchKernels<Machine>{}); }

}  // namespace atomics::cuda
