// guarded_index_add_: adds to rows of a target under the locks of their stripes.
#include "../check.h"
#include "../dispatch.h"
#include "../register.h"
#include "../scale.h"
#include "elements.h"
#include "guarded.h"
#include "plain.h"
#include "rows.h"
#include "stripe_order.h"

namespace atomics::cpu {

namespace {

constexpr auto kName = "guarded_index_add_";

// Adds the source at a place to its row.
template <class C, class Other, class Scale>
class RowAdder {
 public:
  RowAdder(const Rows& cells, const Rows& source, int64_t width, Scale scale)
      : cells_(cells), source_(source), width_(width), scale_(scale) {
    is_run_ = cells.shape().step == sizeof(C) && source.shape().step == sizeof(Other);
  }

  [[gnu::always_inline]] void soon(int64_t row) const {
    constexpr int64_t kLine = 64;
    constexpr int64_t kMostBytes = 1024;
    const auto bytes = std::min<int64_t>(width_ * static_cast<int64_t>(sizeof(C)), kMostBytes);
    const char* const data = cells_[row].data;
    for (int64_t byte = 0; byte < bytes; byte += kLine) __builtin_prefetch(data + byte, 1);
  }

  void operator()(uint32_t place, int64_t row) const {
    const auto add = [scale = scale_](C& cell, Other other) __attribute__((always_inline)) {
      cell = narrowed<C>(Add::combine(widened(cell), scale(other)));
    };
    const Row to = cells_[row];
    const Row from = source_[place];
    if (width_ == 1) {
      add(as<C>(to.data), as<Other>(from.data));
    } else if (is_run_) {
      for_each_plain<C, Other>({to.data, from.data}, {sizeof(C), sizeof(Other)}, width_, add);
    } else {
      for_each_pair<Other, C>(from, to, width_, [&](Other other, C& cell) { add(cell, other); });
    }
  }

 private:
  Rows cells_;
  Rows source_;
  int64_t width_;
  Scale scale_;
  bool is_run_;
};

template <class C, class Other, class Scale>
void add_in_order(mutex::Stripes& stripes, const StripeOrder& order, const Rows& cells,
                  const Rows& source, int64_t width, Scale scale) {
  const RowAdder<C, Other, Scale> adder(cells, source, width, scale);
  order.for_each(
      stripes, width, [&](int64_t row) __attribute__((always_inline)) { adder.soon(row); },
      [=](uint32_t place, int64_t row, int64_t) { adder(place, row); });
}

// Counts, mostly: the sums are made before the locks are taken, which are held for a moment then.
template <class C, class Scale>
void add_sums(mutex::Stripes& stripes, const Place& place, const View& target, const View& index,
              const Operand& source, Scale scale) {
  const Operand cells = writable(target);
  const int64_t step = cells.strides[0] * cells.itemsize;
  dispatch(Indices{}, index.dtype, [&]<class Index>() {
    sum_by_table<Add, C, Index>(kName, cells.sizes[0], index, source,
                                [&](const uint32_t* rows, size_t count, auto&& take) {
                                  std::vector<Widened<C>> sums(count);
                                  for (size_t k = 0; k < count; ++k) sums[k] = take(rows[k]);
                                  mutex::HoldAll hold(kName);
                                  cover(hold, stripes, place, target);
                                  hold.lock();
                                  for (size_t k = 0; k < count; ++k) {
                                    C& cell = as<C>(cells.data + rows[k] * step);
                                    cell = narrowed<C>(Add::combine(widened(cell), scale(sums[k])));
                                  }
                                });
  });
}

// Makes the sum of each row's sources, then adds the sums.
template <class C, class Scale>
void add_summed_rows(mutex::Stripes& stripes, const View& target, int64_t first, const View& index,
                     const View& source, int64_t width, Scale scale) {
  using Sum = Widened<C>;
  const auto copy = copy_index(kName, index, target.sizes[0]);
  if (width == 0) return;
  const Groups groups = group_equal(copy, target.sizes[0]);
  const Rows cells(writable(target));
  const Rows from(readable(source));
  const OwnRows<Sum> sums(cells, width, groups.rows.size(), Add::identity<Sum>());
  for (size_t i = 0; i < copy.size(); ++i) {
    for_each_pair<C, Sum>(from[static_cast<int64_t>(i)], sums[groups.group[i]], width,
                          [](C other, Sum& sum) { sum = Add::combine(sum, widened(other)); });
  }
  const StripeOrder order(kName, stripes, target, first, groups.rows);
  add_in_order<C, Sum>(stripes, order, cells, sums.rows(), width, scale);
}

// Sums of integers do not depend on the order, so they may be made first. Those of 16-bit floats
// have to be, as by index_add_: a row is rounded once in a call.
template <class C, class Scale>
void add_rows(mutex::Stripes& stripes, const View& target, int64_t first, const View& index,
              const View& source, Scale scale) {
  constexpr bool kIsSmall = !std::is_same_v<C, Widened<C>>;
  const int64_t width = source.numel / index.numel;
  if constexpr (std::is_integral_v<C> || kIsSmall) {
    if (width == 1 && has_few_stripes(target)) {
      return add_sums<C>(stripes, {target, first}, target, index, readable(source), scale);
    }
  }
  if constexpr (kIsSmall) {
    add_summed_rows<C>(stripes, target, first, index, source, width, scale);
  } else {
    const StripeOrder order(kName, stripes, target, first, index);
    if (width == 0) return;
    add_in_order<C, C>(stripes, order, Rows(writable(target)), Rows(readable(source)), width,
                       scale);
  }
}

struct GuardedIndexAdd {
  static std::string name() { return kName; }

  static void call(const Tensor& mutex, const Tensor& target, int64_t dim, const Tensor& index,
                   const Tensor& source, double alpha, int64_t first) {
    const View cells("target", target);
    const View rows("index", index);
    const View values("source", source);
    check_dtype(kName, cells, TypesOf<Add>{});
    check_alpha(kName, cells.dtype, alpha);
    check_first(kName, first);
    check_indexed(kName, cells, dim, rows, {values});
    check_no_overlap(kName, {"mutex", mutex}, cells);
    auto stripes = stripes_of(kName, mutex);
    if (rows.numel == 0) return;
    dispatch(TypesOf<Add>{}, cells.dtype, [&]<class T>() {
      using C = typename Add::Cell<T>;
      if (alpha == 1) {
        add_rows<C>(stripes, cells, first, rows, values, Unscaled{});
      } else {
        add_rows<C>(stripes, cells, first, rows, values, scaled_by<C>(alpha));
      }
    });
  }
};

using Kernels = TypeList<GuardedIndexAdd>;

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CPU, m) { implement(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Negative, m) { refuse<NegativeView>(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Conjugate, m) { refuse<ConjugateView>(m, Kernels{}); }

}  // namespace atomics::cpu
