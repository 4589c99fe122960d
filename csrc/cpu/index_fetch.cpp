// index_fetch_add, index_exchange and index_compare_exchange: change indexed rows of dim 0 and
// return what each index found there, as if one index of the call came after the other.
#include "../indexed.h"
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

struct Machine : OnCpu {
  template <class Op, class C>
  static void fetch_rows(const View& cells, const View& index, const View& values,
                         const Tensor& old) {
    const auto copy = copy_index(Op::kIndexFetch, index, cells.sizes[0]);
    if (values.numel == 0) return;
    const int64_t width = values.numel / index.numel;
    const Rows to(writable(cells));
    const Rows from(readable(values));
    const Rows found(fresh(old, values));
    for_each_row(
        to, group_equal(copy, cells.sizes[0]), width,
        [&] { return OwnRows<Widened<C>>(to, width); },
        [&](auto& own, int64_t row, const uint32_t* first, const uint32_t* last) {
          fetch_group<C>(Op{}, to[row], from, found, own, width, first, last);
        });
  }

  template <class C>
  static void compare_exchange_rows(const View& cells, const View& index, const View& values,
                                    const std::array<Operand, 4>& others) {
    const auto copy = copy_index(CompareExchange::kIndex, index, cells.sizes[0]);
    if (values.numel == 0) return;
    const int64_t width = values.numel / index.numel;
    const Rows to(writable(cells));
    const std::array operands{Rows(others[0]), Rows(others[1]), Rows(others[2]), Rows(others[3])};
    for_each_row(
        to, group_equal(copy, cells.sizes[0]), width, [] { return nullptr; },
        [&](auto, int64_t row, const uint32_t* first, const uint32_t* last) {
          compare_exchange_group<C>(to[row], operands, width, first, last);
        });
  }
};

using Kernels = IndexFetchKernels<Machine>;

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CPU, m) { implement_lock_free(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Negative, m) { refuse<NegativeView>(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Conjugate, m) { refuse<ConjugateView>(m, Kernels{}); }

}  // namespace atomics::cpu
