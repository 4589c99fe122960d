// guarded_index_add_: adds to rows of a target under the locks of their stripes.
#include "../check.h"
#include "../dispatch.h"
#include "../register.h"
#include "guarded.h"
#include "plain.h"
#include "rows.h"
#include "scale.h"
#include "stripe_order.h"

namespace atomics::cpu {

namespace {

// Adds the sources at some places to their rows, one after the other.
template <class C, class Scale>
class RowAdder {
 public:
  RowAdder(const Operand& cells, const Operand& source, const std::vector<int64_t>& index,
           int64_t width, Scale scale)
      : cells_(cells), source_(source), index_(index.data()), width_(width), scale_(scale) {
    const auto is_run = [](const Rows& rows) { return rows.shape().step == sizeof(C); };
    is_run_ = is_run(cells_) && is_run(source_);
  }

  // `all` is where the places end that come after these.
  void operator()(const uint32_t* at, const uint32_t* last, const uint32_t* all) const {
    if (width_ == 1) {
      for (; at != last; ++at)
        add(as<C>(cells_[index_[*at]].data), as<C>(source_[*at].data), scale_);
    } else if (is_run_) {
      vectorised([=, this]() __attribute__((always_inline)) { add_runs(at, last, all); });
    } else {
      for (; at != last; ++at) {
        for_each_pair<C, C>(source_[*at], cells_[index_[*at]], width_,
                            [scale = scale_](C other, C& cell) { add(cell, other, scale); });
      }
    }
  }

 private:
  [[gnu::always_inline]] static void add(C& cell, C other, Scale scale) {
    cell = narrowed<C>(Add::combine(widened(cell), scale(widened(other))));
  }

  [[gnu::always_inline]] void add_runs(const uint32_t* at, const uint32_t* last,
                                       const uint32_t* all) const {
    constexpr int64_t kAhead = 4;
    constexpr int64_t kLine = 64;
    constexpr int64_t kMostBytes = 1024;
    const auto bytes = std::min<int64_t>(width_ * static_cast<int64_t>(sizeof(C)), kMostBytes);
    for (; at != last; ++at) {
      if (all - at > kAhead) {
        const char* const soon = cells_[index_[at[kAhead]]].data;
        for (int64_t byte = 0; byte < bytes; byte += kLine) __builtin_prefetch(soon + byte, 1);
      }
      auto* const cells = &as<C>(cells_[index_[*at]].data);
      const auto* const others = &as<C>(source_[*at].data);
#pragma GCC ivdep
      for (int64_t k = 0; k < width_; ++k) add(cells[k], others[k], scale_);
    }
  }

  Rows cells_;
  Rows source_;
  const int64_t* index_;
  int64_t width_;
  Scale scale_;
  bool is_run_;
};

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
    const auto copy = copy_index(kName, rows, cells.sizes[0]);
    if (values.numel == 0) return;
    const StripeOrder order(stripes, cells, first, copy);
    const int64_t width = values.numel / rows.numel;
    dispatch(TypesOf<Add>{}, cells.dtype, [&]<class T>() {
      using C = typename Add::Cell<T>;
      const auto add = [&](auto scale) {
        const RowAdder<C, decltype(scale)> adder(writable(cells), readable(values), copy, width,
                                                 scale);
        order.for_each(kName, stripes, width,
                       [&](const uint32_t* begin, const uint32_t* end, int64_t) {
                         adder(begin, end, order.end());
                       });
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
