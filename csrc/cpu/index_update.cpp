// index_add_ and its family: changes indexed rows of dim 0 and returns nothing. What the sources of
// a row that is named several times make together is calculated first, in the order of the call;
// then the row is updated once.
#include "../indexed.h"
#include "elements.h"
#include "group.h"
#include "guarded_memory.h"
#include "rows.h"
#include "update.h"

namespace atomics::cpu {

namespace {

// Longer rows: combined in a row of our own, unless there is only one.
template <class Op, class C, class Scale>
void update_groups(const Rows& cells, const Rows& source, const Groups& groups, int64_t width,
                   Scale scale) {
  using Sum = Widened<C>;
  const auto own_row = [&] { return OwnRows<Sum>(cells, width); };
  const auto update = [&](OwnRows<Sum>& own, int64_t row, const uint32_t* first,
                          const uint32_t* last) {
    const Row target = cells[row];
    if (last - first == 1) {
      return update_row<Op, C, C>(std::array{target, source[*first]}, width, scale);
    }
    const Row sums = own[0];
    for_each_pair<C, Sum>(source[*first], sums, width, [](C other, Sum& sum) { sum = other; });
    while (++first != last) {
      for_each_pair<C, Sum>(source[*first], sums, width, [](C other, Sum& sum) {
        sum = Op::combine(sum, static_cast<Sum>(other));
      });
    }
    update_row<Op, C, Sum>(std::array{target, sums}, width, scale);
  };
  for_each_row(cells, groups, width, own_row, update);
}

struct Machine : OnCpu {
  template <class Op, class C, class Scale>
  static void update_rows(const View& cells, const View& index, const View& values, Scale scale) {
    constexpr auto kName = Op::kIndexUpdate;
    if (index.numel == 0) return;
    const Operand to = writable(cells);
    const Operand from = readable(values);
    if (values.numel == index.numel) {
      return update_elements<Op, C>(kName, to, index, from, scale);
    }
    const auto copy = copy_index(kName, index, cells.sizes[0]);
    if (values.numel == 0) return;
    const Groups groups = group_equal(copy, cells.sizes[0]);
    const int64_t width = values.numel / index.numel;
    update_groups<Op, C>(Rows(to), Rows(from), groups, width, scale);
  }

  template <class Op, class C>
  static void add_rows(const View& cells, const View& index, const View& values, double alpha) {
    update_rows<Op, C>(cells, index, values, scaled_by<C>(alpha));
  }
};

using Kernels = IndexUpdateKernels<Machine>;

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CPU, m) { implement_lock_free(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Negative, m) { refuse<NegativeView>(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Conjugate, m) { refuse<ConjugateView>(m, Kernels{}); }

}  // namespace atomics::cpu
