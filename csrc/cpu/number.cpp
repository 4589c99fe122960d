// The `.int` and `.float` overloads on the CPU.
#include "../number.h"
#include "cells.h"
#include "guarded_memory.h"

namespace atomics::cpu {

namespace {

struct Machine {
  template <class C, class Visit>
  static void visit(const char*, const Tensor& target, Numbers<C>& numbers, Visit visit) {
    char* at[5];
    numbers.find(static_cast<char*>(target.mutable_data_ptr()), at);
    visit(Ref<C, Single>(&as<C>(at[0])), at);
  }
};

using Kernels = NumberKernels<Machine>;

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CPU, m) { implement_lock_free(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Negative, m) { refuse<NegativeView>(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Conjugate, m) { refuse<ConjugateView>(m, Kernels{}); }

}  // namespace atomics::cpu
