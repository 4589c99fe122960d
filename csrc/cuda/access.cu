// Reading and replacing every element of a target. The meaning of an op is in csrc/ops.
#include "../dispatch.h"
#include "../register.h"
#include "../visit.h"
#include "cells.cuh"

namespace atomics::cuda {

namespace {

using Types = TypesOf<Load>;

struct LoadKernel {
  static std::string name() { return Load::kName; }

  static Tensor call(const Tensor& target) {
    const View cells("target", target);
    check_dtype(Load::kName, cells, Types{});
    check_memory(Load::kName, cells);
    Tensor result = empty_like(cells, target.device());
    dispatch(Types{}, cells.dtype, [&]<class T>() {
      for_each_cell<Bits<T>, 2>(Load::kName, target, {readable(cells), fresh(result, cells)},
                                cells.numel, VisitLoad{});
    });
    return result;
  }
};

struct StoreKernel {
  static std::string name() { return Store::kName; }

  static void call(const Tensor& target, const Tensor& other) {
    const View cells("target", target);
    const View values("other", other);
    check_dtype(Store::kName, cells, Types{});
    check_operands(Store::kName, cells, {values});
    dispatch(Types{}, cells.dtype, [&]<class T>() {
      for_each_cell<Bits<T>, 2>(Store::kName, target, {writable(cells), readable(values)},
                                cells.numel, VisitStore{});
    });
  }
};

struct CompareExchangeKernel {
  static std::string name() { return CompareExchange::kName; }

  static std::tuple<Tensor, Tensor> call(const Tensor& target, const Tensor& expected,
                                         const Tensor& desired) {
    const View cells("target", target);
    const View guesses("expected", expected);
    const View values("desired", desired);
    check_dtype(CompareExchange::kName, cells, Types{});
    check_operands(CompareExchange::kName, cells, {guesses, values});
    Tensor old = empty_like(cells, target.device());
    Tensor success = empty(cells.dim, cells.sizes, ScalarType::Bool, target.device());
    dispatch(Types{}, cells.dtype, [&]<class T>() {
      for_each_cell<Bits<T>, 5>(CompareExchange::kName, target,
                                {writable(cells), readable(guesses), readable(values),
                                 fresh(old, cells), fresh(success, cells, sizeof(bool))},
                                cells.numel, VisitCompareExchange{});
    });
    return {std::move(old), std::move(success)};
  }
};

using Kernels = TypeList<LoadKernel, StoreKernel, CompareExchangeKernel>;

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CUDA, m) { implement(m, Kernels{}); }

}  // namespace atomics::cuda
