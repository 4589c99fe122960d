// guarded_index_add_: adds to rows of a target under the locks of their stripes.
#include "../check.h"
#include "../dispatch.h"
#include "../register.h"
#include "elements.h"
#include "guarded.h"
#include "plain.h"
#include "rows.h"
#include "scale.h"
#include "stripe_order.h"

namespace atomics::cpu {

namespace {

// Adds the source at a place to its row.
template <class C, class Scale>
class RowAdder {
 public:
  RowAdder(const Operand& cells, const Operand& source, int64_t width, Scale scale)
      : cells_(cells), source_(source), width_(width), scale_(scale) {
    const auto is_run = [](const Rows& rows) { return rows.shape().step == sizeof(C); };
    is_run_ = is_run(cells_) && is_run(source_);
  }

  [[gnu::always_inline]] void soon(int64_t row) const {
    constexpr int64_t kLine = 64;
    constexpr int64_t kMostBytes = 1024;
    const auto bytes = std::min<int64_t>(width_ * static_cast<int64_t>(sizeof(C)), kMostBytes);
    const char* const data = cells_[row].data;
    for (int64_t byte = 0; byte < bytes; byte += kLine) __builtin_prefetch(data + byte, 1);
  }

  void operator()(uint32_t place, int64_t row) const {
    const auto add = [scale = scale_](C& cell, C other) __attribute__((always_inline)) {
      cell = narrowed<C>(Add::combine(widened(cell), scale(widened(other))));
    };
    const Row to = cells_[row];
    const Row from = source_[place];
    if (width_ == 1) {
      add(as<C>(to.data), as<C>(from.data));
    } else if (is_run_) {
      for_each_plain<C, C>({to.data, from.data}, {sizeof(C), sizeof(C)}, width_, add);
    } else {
      for_each_pair<C, C>(from, to, width_, [&](C other, C& cell) { add(cell, other); });
    }
  }

 private:
  Rows cells_;
  Rows source_;
  int64_t width_;
  Scale scale_;
  bool is_run_;
};

// Counts: the sums are made before the locks are taken, which are held for a moment then. Of
// integers only, whose sums do not depend on the order.
template <class C, class Scale>
void add_sums(const char* op, mutex::Stripes& stripes, const Place& place, const View& target,
              const View& index, const Operand& source, Scale scale) {
  const Operand cells = writable(target);
  const int64_t step = cells.strides[0] * cells.itemsize;
  dispatch(Indices{}, index.dtype, [&]<class Index>() {
    sum_by_table<Add, C, Index>(op, cells.sizes[0], index, source,
                                [&](const uint32_t* rows, size_t count, auto&& take) {
                                  std::vector<C> sums(count);
                                  for (size_t k = 0; k < count; ++k) sums[k] = take(rows[k]);
                                  mutex::HoldAll hold(op);
                                  cover(hold, stripes, place, target);
                                  hold.lock();
                                  for (size_t k = 0; k < count; ++k) {
                                    C& cell = as<C>(cells.data + rows[k] * step);
                                    cell = Add::combine(cell, scale(sums[k]));
                                  }
                                });
  });
}

struct GuardedIndexAdd {
  static constexpr const char* kName = "guarded_index_add_";
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
      const int64_t width = values.numel / rows.numel;
      const auto add = [&](auto scale) {
        if constexpr (std::is_integral_v<C>) {
          if (width == 1 && has_few_stripes(cells)) {
            return add_sums<C>(kName, stripes, {cells, first}, cells, rows, readable(values),
                               scale);
          }
        }
        const StripeOrder order(kName, stripes, cells, first, rows);
        if (width == 0) return;
        const RowAdder<C, decltype(scale)> adder(writable(cells), readable(values), width, scale);
        order.for_each(
            stripes, width, [&](int64_t row) __attribute__((always_inline)) { adder.soon(row); },
            [=](uint32_t place, int64_t row, int64_t) { adder(place, row); });
      };
      if (alpha == 1) {
        add(Unscaled{});
      } else {
        add(scaled_by<C>(alpha));
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
