// index_fetch_add, index_exchange and index_compare_exchange: change indexed rows of dim 0 and
// return what each index found there, as if one index of the call came after the other.
#include "../register.h"
#include "group.h"
#include "guarded_memory.h"
#include "rows.h"
#include "update.h"

namespace atomics::cpu {

namespace {

// The row is updated once, with the sum of its sources: the first of its indices found what the row
// held, each other one that and the sum of the sources before.
template <class C>
void fetch_group(Add, Row target, const Rows& source, const Rows& old, OwnRows<Widened<C>>& own,
                 int64_t width, const uint32_t* first, const uint32_t* last) {
  using Sum = Widened<C>;
  const Row found = old[*first];
  if (last - first == 1) {
    return update_row<Add, C, C>(std::array{target, source[*first], found}, width, Unscaled{});
  }
  const Row sums = own[0];
  const auto add = [&](uint32_t member) {
    for_each_pair<C, Sum>(source[member], sums, width, [](C other, Sum& sum) {
      sum = Add::combine(sum, static_cast<Sum>(other));
    });
  };
  const auto set = [](C other, Sum& sum) { sum = other; };
  for_each_pair<C, Sum>(source[*first], sums, width, set);
  for (const uint32_t* member = first + 1; member != last; ++member) add(*member);
  update_row<Add, C, Sum>(std::array{target, sums, found}, width, Unscaled{});

  for_each_pair<C, Sum>(source[*first], sums, width, set);
  for (const uint32_t* member = first + 1; member != last; ++member) {
    const Row later = old[*member];
    for_each_pair<C, C>(found, later, width, [](C held, C& to) { to = held; });
    for_each_pair<Sum, C>(sums, later, width, [](Sum sum, C& to) {
      to = static_cast<C>(Add::combine(static_cast<Sum>(to), sum));
    });
    add(*member);
  }
}

// The row gets the last source: the first of its indices found what it held, each other one the
// source before.
template <class C>
void fetch_group(Exchange, Row target, const Rows& source, const Rows& old, OwnRows<Widened<C>>&,
                 int64_t width, const uint32_t* first, const uint32_t* last) {
  const std::array<Row, 3> operands{target, source[last[-1]], old[*first]};
  update_row<Exchange, C, C>(operands, width, Unscaled{});
  for (; first + 1 != last; ++first) {
    for_each_pair<C, C>(source[first[0]], old[first[1]], width, [](C other, C& to) { to = other; });
  }
}

template <class Op>
struct IndexFetchKernel {
  static std::string name() { return Op::kIndexFetch; }

  static Tensor call(const Tensor& target, int64_t dim, const Tensor& index, const Tensor& source) {
    constexpr auto kName = Op::kIndexFetch;
    const View cells("target", target);
    const View rows("index", index);
    const View values("source", source);
    check_dtype(kName, cells, TypesOf<Op>{});
    check_indexed(kName, cells, dim, rows, {values});
    const auto copy = copy_index(kName, rows, cells.sizes[0]);
    Tensor old = empty_like(values);
    if (values.numel == 0) return old;
    const Groups groups = group_equal(copy, cells.sizes[0]);
    const int64_t width = values.numel / rows.numel;
    dispatch(TypesOf<Op>{}, cells.dtype, [&]<class T>() {
      using C = typename Op::template Cell<T>;
      const Rows to(writable(cells));
      const Rows from(readable(values));
      const Rows found(fresh(old, values));
      for_each_row(
          to, groups, width, [&] { return OwnRows<Widened<C>>(to, width); },
          [&](auto& own, int64_t row, const uint32_t* first, const uint32_t* last) {
            fetch_group<C>(Op{}, to[row], from, found, own, width, first, last);
          });
    });
    return old;
  }
};

// The results of a group's indices are those of one index after the other on every element.
template <class C>
void compare_exchange_group(Row target, const std::array<Rows, 4>& operands, int64_t numel,
                            const uint32_t* first, const uint32_t* last) {
  const auto& [guesses, values, found, flags] = operands;
  const std::array<Operand, 5> rows{target.operand(), guesses[*first].operand(),
                                    values[*first].operand(), found[*first].operand(),
                                    flags[*first].operand()};
  // From an element of the first index to the one of another.
  const auto to = [&](const Rows& rows, uint32_t member) {
    return (static_cast<int64_t>(member) - *first) * rows.distance();
  };
  for_each_cell<C, 5>(rows, numel, [&](const auto& cell, auto at) {
    cell.fetch_update([&](C held) {
      for (const uint32_t* member = first; member != last; ++member) {
        as<C>(at[3] + to(found, *member)) = held;
        const bool success = held == as<C>(at[1] + to(guesses, *member));
        as<bool>(at[4] + to(flags, *member)) = success;
        if (success) held = as<C>(at[2] + to(values, *member));
      }
      return held;
    });
  });
}

struct IndexCompareExchangeKernel {
  static constexpr auto kName = CompareExchange::kIndex;
  static std::string name() { return kName; }

  static std::tuple<Tensor, Tensor> call(const Tensor& target, int64_t dim, const Tensor& index,
                                         const Tensor& expected, const Tensor& desired) {
    const View cells("target", target);
    const View rows("index", index);
    const View guesses("expected", expected);
    const View values("desired", desired);
    check_dtype(kName, cells, TypesOf<CompareExchange>{});
    check_indexed(kName, cells, dim, rows, {guesses, values});
    const auto copy = copy_index(kName, rows, cells.sizes[0]);
    Tensor old = empty_like(values);
    Tensor success = empty(values.dim, values.sizes, ScalarType::Bool, DeviceType::CPU);
    if (values.numel != 0) {
      const Groups groups = group_equal(copy, cells.sizes[0]);
      const int64_t width = values.numel / rows.numel;
      dispatch(TypesOf<CompareExchange>{}, cells.dtype, [&]<class T>() {
        const Rows to(writable(cells));
        const std::array<Rows, 4> operands{Rows(readable(guesses)), Rows(readable(values)),
                                           Rows(fresh(old, values)),
                                           Rows(fresh(success, values, sizeof(bool)))};
        for_each_row(
            to, groups, width, [] { return nullptr; },
            [&](auto, int64_t row, const uint32_t* first, const uint32_t* last) {
              compare_exchange_group<Bits<T>>(to[row], operands, width, first, last);
            });
      });
    }
    return {std::move(old), std::move(success)};
  }
};

template <class... Ops>
auto kernels(TypeList<Ops...>) -> TypeList<IndexFetchKernel<Ops>..., IndexCompareExchangeKernel>;
using Kernels = decltype(kernels(IndexFetchOps{}));

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CPU, m) { implement_lock_free(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Negative, m) { refuse<NegativeView>(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Conjugate, m) { refuse<ConjugateView>(m, Kernels{}); }

}  // namespace atomics::cpu
