// Registers lists of kernels. A kernel is a struct with name(), the op's name with its overload,
// and a static call(), whose arguments and results are those of the op's line in schema.cpp.
#pragma once

#include <torch/csrc/stable/library.h>

#include <string>

#include "check.h"
#include "ops/table.h"

namespace atomics {

template <class... Kernels>
void implement(torch::stable::detail::StableLibrary& m, TypeList<Kernels...>) {
  (m.impl(Kernels::name().c_str(), TORCH_BOX(&Kernels::call)), ...);
}

// torch would resolve these views into a temporary, update that, and copy it back: not atomic. The
// kernels of a backend cannot see the bit, so the dispatch keys that carry it get refusing kernels.
struct NegativeView {
  static constexpr const char* kRule = "not be negative views (resolve_neg() makes a plain tensor)";
  static constexpr const char* kActual = "one with its negative bit set";
};

struct ConjugateView {
  static constexpr const char* kRule =
      "not be conjugate views (resolve_conj() makes a plain tensor)";
  static constexpr const char* kActual = "one with its conjugate bit set";
};

template <class Kernel, class Lazy, class Call = decltype(Kernel::call)>
struct Refuse;

template <class Kernel, class Lazy, class Result, class... Args>
struct Refuse<Kernel, Lazy, Result(Args...)> {
  static std::string name() { return Kernel::name(); }

  static Result call(Args...) {
    fail(name().substr(0, name().find('.')).c_str(), "arguments", Lazy::kRule, Lazy::kActual);
  }
};

template <class Lazy, class... Kernels>
void refuse(torch::stable::detail::StableLibrary& m, TypeList<Kernels...>) {
  implement(m, TypeList<Refuse<Kernels, Lazy>...>{});
}

}  // namespace atomics
