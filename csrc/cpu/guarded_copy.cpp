// guarded_copy_: copies tensors while all that guard some targets are held: a snapshot or its way
// back.
#include <deque>

#include "../check.h"
#include "../dispatch.h"
#include "../register.h"
#include "cells.h"
#include "guarded.h"
#include "plain.h"

namespace atomics::cpu {

namespace {

struct GuardedCopy {
  static constexpr const char* kName = "guarded_copy_";
  static std::string name() { return kName; }

  static void call(const std::vector<Tensor>& mutex, const std::vector<Tensor>& target,
                   const std::vector<int64_t>& first, const std::vector<Tensor>& out,
                   const std::vector<Tensor>& source) {
    check_length(kName, "target", target.size(), "first", first.size());
    check_length(kName, "out", out.size(), "source", source.size());
    if (mutex.size() != 1) check_length(kName, "target", target.size(), "mutex", mutex.size());
    for (const int64_t each : first) check_first(kName, each);
    const auto targets = views("target", target);
    for (const View& each : targets) check_memory(kName, each);
    const auto outs = views("out", out);
    const auto sources = views("source", source);
    for (size_t k = 0; k < outs.size(); ++k) {
      check_dtype(kName, outs[k], TypesOf<Load>{});
      check_same_dtype(kName, outs[k].dtype, "source", sources[k].dtype, "out");
      check_same_shape(kName, outs[k], sources[k]);
      check_memory(kName, outs[k]);
      check_memory(kName, sources[k]);
      check_written(kName, outs[k]);
      check_no_overlap(kName, outs[k], sources[k]);
      for (const Tensor& each : mutex) check_no_overlap(kName, {"mutex", each}, outs[k]);
    }

    std::deque<mutex::Stripes> stripes;  // stay where they are
    for (const Tensor& each : mutex) stripes.push_back(stripes_of(kName, each));
    mutex::HoldAll hold(kName);
    for (size_t k = 0; k < targets.size(); ++k) {
      auto& of_target = stripes[stripes.size() == 1 ? 0 : k];
      cover(hold, of_target, {targets[k], first[k]}, targets[k]);
    }
    hold.lock();
    for (size_t k = 0; k < outs.size(); ++k) copy(outs[k], sources[k]);
  }

 private:
  static void copy(const View& out, const View& source) {
    dispatch(TypesOf<Load>{}, out.dtype, [&]<class T>() {
      using C = Bits<T>;
      for_each_part(std::array{writable(out), readable(source)}, out.numel, [](const auto& part) {
        for_each_run(part, [](auto at, auto step, int64_t n) {
          for_each_plain<C, C>(at, step, n,
                               [](C& to, C from) __attribute__((always_inline)) { to = from; });
        });
      });
    });
  }
};

using Kernels = TypeList<GuardedCopy>;

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CPU, m) { implement(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Negative, m) { refuse<NegativeView>(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Conjugate, m) { refuse<ConjugateView>(m, Kernels{}); }

}  // namespace atomics::cpu
