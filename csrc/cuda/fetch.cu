// fetch_*: changes every element of a target and returns what was there. The meaning of an op is in
// csrc/ops.
#include "../dispatch.h"
#include "../register.h"
#include "../visit.h"
#include "cells.cuh"

namespace atomics::cuda {

namespace {

template <class Op>
struct FetchKernel {
  static std::string name() { return Op::kFetch; }

  static Tensor call(const Tensor& target, const Tensor& other) {
    const View cells("target", target);
    const View values("other", other);
    check_dtype(Op::kFetch, cells, TypesOf<Op>{});
    check_operands(Op::kFetch, cells, {values});
    Tensor old = empty_like(cells, target.device());
    dispatch(TypesOf<Op>{}, cells.dtype, [&]<class T>() {
      for_each_cell<typename Op::template Cell<T>, 3>(
          Op::kFetch, target, {writable(cells), readable(values), fresh(old, cells)}, cells.numel,
          VisitFetch<Op>{});
    });
    return old;
  }
};

// Both flags are bool tensors: whether it was added, or whether it was not.
struct AddBelowKernel {
  static std::string name() { return AddBelow::kName; }

  static std::tuple<Tensor, Tensor> call(const Tensor& target, const Tensor& other,
                                         const Tensor& limit) {
    const View cells("target", target);
    const View values("other", other);
    const View limits("limit", limit);
    check_dtype(AddBelow::kName, cells, TypesOf<AddBelow>{});
    check_operands(AddBelow::kName, cells, {values, limits});
    Tensor old = empty_like(cells, target.device());
    Tensor success = empty(cells.dim, cells.sizes, ScalarType::Bool, target.device());
    dispatch(TypesOf<AddBelow>{}, cells.dtype, [&]<class T>() {
      for_each_cell<T, 5>(AddBelow::kName, target,
                          {writable(cells), readable(values), readable(limits), fresh(old, cells),
                           fresh(success, cells, sizeof(bool))},
                          cells.numel, VisitAddBelow{});
    });
    return {std::move(old), std::move(success)};
  }
};

struct AddCheckedKernel {
  static std::string name() { return AddChecked::kName; }

  static std::tuple<Tensor, Tensor> call(const Tensor& target, const Tensor& other) {
    const View cells("target", target);
    const View values("other", other);
    check_dtype(AddChecked::kName, cells, TypesOf<AddChecked>{});
    check_operands(AddChecked::kName, cells, {values});
    Tensor old = empty_like(cells, target.device());
    Tensor overflowed = empty(cells.dim, cells.sizes, ScalarType::Bool, target.device());
    dispatch(TypesOf<AddChecked>{}, cells.dtype, [&]<class T>() {
      for_each_cell<T, 4>(AddChecked::kName, target,
                          {writable(cells), readable(values), fresh(old, cells),
                           fresh(overflowed, cells, sizeof(bool))},
                          cells.numel, VisitAddChecked{});
    });
    return {std::move(old), std::move(overflowed)};
  }
};

template <class... Ops>
auto kernels(TypeList<Ops...>) -> TypeList<FetchKernel<Ops>..., AddBelowKernel, AddCheckedKernel>;
using Kernels = decltype(kernels(FetchOps{}));

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CUDA, m) { implement(m, Kernels{}); }

}  // namespace atomics::cuda
