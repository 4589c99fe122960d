// guarded_add_: adds to a target under the locks of its stripes.
#include <deque>

#include "../check.h"
#include "../dispatch.h"
#include "../register.h"
#include "../scale.h"
#include "by_handle.h"
#include "cells.h"
#include "guarded.h"
#include "plain.h"

namespace atomics::cpu {

namespace {

constexpr const char* kGuardedAdd = "guarded_add_";

template <class C, class Scale>
void add(mutex::Stripes& stripes, const Place& place, const std::array<Operand, 2>& operands,
         int64_t numel, Scale scale) {
  for_each_stripe(stripes, place, operands, numel, [&](auto at, auto step, int64_t n, int64_t) {
    for_each_plain<C, C>(at, step, n, [scale](C& cell, C other) __attribute__((always_inline)) {
      cell = narrowed<C>(Add::combine(widened(cell), scale(widened(other))));
    });
  });
}

// alpha * `other` into `target`: checked when it is made, but for locks.
class Addition {
 public:
  Addition(const Tensor& mutex, const Tensor& target, const Tensor& other, double alpha,
           int64_t first, const char* name = "other")
      : cells_("target", target),
        values_(name, other),
        alpha_(alpha),
        first_(first),
        stripes_(checked(mutex)) {}

  // Refuses now what `run` would refuse.
  void verify() { verify_all(stripes_, {cells_, first_}, cells_); }

  void run() {
    dispatch(TypesOf<Add>{}, cells_.dtype, [&]<class T>() {
      using C = typename Add::Cell<T>;
      const std::array operands{writable(cells_), readable(values_)};
      if (alpha_ == 1) {
        add<C>(stripes_, {cells_, first_}, operands, cells_.numel, Unscaled{});
      } else {
        add<C>(stripes_, {cells_, first_}, operands, cells_.numel, scaled_by<C>(alpha_));
      }
    });
  }

 private:
  mutex::Stripes checked(const Tensor& mutex) const {
    check_dtype(kGuardedAdd, cells_, TypesOf<Add>{});
    check_alpha(kGuardedAdd, cells_.dtype, alpha_);
    check_first(kGuardedAdd, first_);
    check_elementwise(kGuardedAdd, cells_, {values_});
    check_no_overlap(kGuardedAdd, {"mutex", mutex}, cells_);
    return stripes_of(kGuardedAdd, mutex);
  }

  View cells_;
  View values_;
  double alpha_;
  int64_t first_;
  mutex::Stripes stripes_;
};

struct GuardedAdd {
  static std::string name() { return kGuardedAdd; }

  static void call(const Tensor& mutex, const Tensor& target, const Tensor& other, double alpha,
                   int64_t first) {
    Addition(mutex, target, other, alpha, first).run();
  }
};

constexpr const char* kHandleGuardedAdd = "handle_guarded_add_";

struct HandleGuardedAdd {
  static std::string name() { return kHandleGuardedAdd; }

  static void call(const Tensor& handle, const Tensor& other, double alpha) {
    const HandleUse use(kHandleGuardedAdd, handle);
    check_is_guarded(kHandleGuardedAdd, *use, true);
    Apart values(kHandleGuardedAdd, other, "other");
    values.from(View("target", use->target));
    renamed<GuardedAdd>(
        [&] { GuardedAdd::call(use->mutex, use->target, *values, alpha, use->first); });
  }
};

// Of several: the first handle by itself, or TorchScript would take an op that only changes a list
// for one without an effect. All are checked, and what they share memory with is copied, before the
// first target is changed.
struct HandleGuardedAddList {
  static std::string name() { return "handle_guarded_add_.list"; }

  static void call(const Tensor& handle, const std::vector<Tensor>& more,
                   const std::vector<Tensor>& others, double alpha) {
    constexpr auto kName = kHandleGuardedAdd;
    check_handles(kName, more, others);
    std::deque<HandleUse> uses;  // these stay where they are
    std::deque<Summand> summands;
    std::deque<Addition> additions;
    std::vector<View> targets;
    Extent all{UINTPTR_MAX, 0};  // of the targets so far
    for (size_t k = 0; k < others.size(); ++k) {
      const HandleUse& use = uses.emplace_back(kName, k == 0 ? handle : more[k - 1]);
      check_is_guarded(kName, *use, true);
      Apart& values = summands.emplace_back(others[k], k).values;
      const Extent of_target = extent(targets.emplace_back("target", use->target));
      all = {std::min(all.begin, of_target.begin), std::max(all.end, of_target.end)};
      if (!all.meets(extent(values.view()))) continue;
      for (const View& target : targets) values.from(target);
    }
    renamed<GuardedAdd>([&] {
      for (size_t k = 0; k < others.size(); ++k) {
        const Registered& of = *uses[k];
        additions.emplace_back(of.mutex, of.target, *summands[k].values, alpha, of.first,
                               summands[k].name.c_str());
      }
      for (Addition& each : additions) each.verify();
      for (Addition& each : additions) each.run();
    });
  }

 private:
  struct Summand {
    Summand(const Tensor& other, size_t k)
        : name("others[" + std::to_string(k) + "]"),
          values(kHandleGuardedAdd, other, name.c_str()) {}

    std::string name;
    Apart values;
  };
};

using Kernels = TypeList<GuardedAdd, HandleGuardedAdd, HandleGuardedAddList>;

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CPU, m) { implement(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Negative, m) { refuse<NegativeView>(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Conjugate, m) { refuse<ConjugateView>(m, Kernels{}); }

}  // namespace atomics::cpu
