// index_add_ and its family: changes indexed rows of dim 0 and returns nothing. What the sources of
// a row that is named several times make together is calculated first, in the order of the call;
// then the row is updated once.
#include "../register.h"
#include "elements.h"
#include "group.h"
#include "guarded_memory.h"
#include "rows.h"
#include "update.h"

namespace atomics::cpu {

namespace {

// Longer rows: combined in a row of our own, unless there is only one.
template <class Op, class C, class Scale>
void update_rows(const Rows& cells, const Rows& source, const Groups& groups, int64_t width,
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

template <class Op, class C, class Scale>
void update_indexed(const View& cells, const View& index, const View& values, Scale scale) {
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
  update_rows<Op, C>(Rows(to), Rows(from), groups, values.numel / index.numel, scale);
}

template <class Op>
struct ScaledIndexUpdateKernel {
  static std::string name() { return Op::kIndexUpdate; }

  static void call(const Tensor& target, int64_t dim, const Tensor& index, const Tensor& source,
                   double alpha) {
    constexpr auto kName = Op::kIndexUpdate;
    const View cells("target", target);
    const View rows("index", index);
    const View values("source", source);
    check_dtype(kName, cells, TypesOf<Op>{});
    check_alpha(kName, cells.dtype, alpha);
    check_indexed(kName, cells, dim, rows, {values});
    dispatch(TypesOf<Op>{}, cells.dtype, [&]<class T>() {
      using C = typename Op::template Cell<T>;
      update_indexed<Op, C>(cells, rows, values, scaled_by<C>(alpha));
    });
  }
};

template <class Op>
struct IndexUpdateKernel {
  static std::string name() { return Op::kIndexUpdate; }

  static void call(const Tensor& target, int64_t dim, const Tensor& index, const Tensor& source) {
    constexpr auto kName = Op::kIndexUpdate;
    const View cells("target", target);
    const View rows("index", index);
    const View values("source", source);
    check_dtype(kName, cells, TypesOf<Op>{});
    check_indexed(kName, cells, dim, rows, {values});
    dispatch(TypesOf<Op>{}, cells.dtype, [&]<class T>() {
      using C = typename Op::template Cell<T>;
      update_indexed<Op, C>(cells, rows, values, Unscaled{});
    });
  }
};

template <class... Scaled, class... Plain>
auto kernels(TypeList<Scaled...>, TypeList<Plain...>)
    -> TypeList<ScaledIndexUpdateKernel<Scaled>..., IndexUpdateKernel<Plain>...>;
using Kernels = decltype(kernels(ScaledIndexUpdateOps{}, IndexUpdateOps{}));

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CPU, m) { implement_lock_free(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Negative, m) { refuse<NegativeView>(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Conjugate, m) { refuse<ConjugateView>(m, Kernels{}); }

}  // namespace atomics::cpu
