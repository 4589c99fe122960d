// The `.int` and `.float` overloads on a GPU. Those that return a number wait for it.
#include "../number.h"
#include "cells.cuh"
#include "index_error.cuh"

namespace atomics::cuda {

namespace {

template <class C, class Visit>
__global__ void visit_number(thread_scope scope, char* cell, Numbers<C> numbers, Numbers<C>* result,
                             Visit visit) {
  if (first_of_thread() != 0) return;
  char* at[5];
  numbers.find(cell, at);
  in_scope<Single>(scope, &as<C>(cell), [&](const auto& ref) { visit(ref, at); });
  if (result != nullptr) *result = numbers;
}

// Whether something is returned that has to be waited for.
template <class Visit>
constexpr bool kFinds = true;
template <>
constexpr bool kFinds<VisitStore> = false;
template <class Op, class Scale>
constexpr bool kFinds<VisitUpdate<Op, Scale>> = false;

struct Machine {
  template <class C, class Visit>
  static void visit(const char* op, const Tensor& target, Numbers<C>& numbers, Visit visit) {
    auto* const cell = static_cast<char*>(target.mutable_data_ptr());
    const Launch launch(op, target, kIsPlain<C, Visit> ? nullptr : cell);
    const auto kernel = visit_number<C, Visit>;
    if constexpr (kFinds<Visit>) {
      if (launch.is_captured()) {
        fail(op, "call", "not be captured, which cannot wait for its number", "a CUDA graph");
      }
      constexpr int64_t kBytes[] = {sizeof(numbers)};
      const Tensor result = empty(1, kBytes, ScalarType::Byte, target.device());
      auto* const found = static_cast<Numbers<C>*>(result.mutable_data_ptr());
      launch(kernel, 1, cell, numbers, found, visit);
      check_cuda(op, cudaMemcpyAsync(&numbers, found, sizeof(numbers), cudaMemcpyDeviceToHost,
                                     launch.stream()));
      check_cuda(op, cudaStreamSynchronize(launch.stream()));
      // Of other numbers, an error now would lose what was done.
      if constexpr (std::is_same_v<Visit, VisitLoad>) check_earlier_indices();
    } else {
      launch(kernel, 1, cell, numbers, nullptr, visit);
    }
  }
};

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CUDA, m) { implement(m, NumberKernels<Machine>{}); }

}  // namespace atomics::cuda
